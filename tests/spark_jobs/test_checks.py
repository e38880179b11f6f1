import pyarrow as pa
import pytest

from schemas.errors import ContractError
from spark_jobs.checks import check_nothing_lost, checked
from spark_jobs.worker_errors import errors_of_workers


@pytest.mark.spark
def test_what_a_worker_finds_broken_is_a_contract_error_here(spark):
    def check(rows: pa.RecordBatch, where: str) -> None:
        if 7 in rows["id"].to_pylist():
            raise ContractError(f"{where} has a 7", "sevens are not allowed", "take it out")

    rows = spark.range(0, 10, numPartitions=3)
    assert checked(rows.where("id != 7"), check, "here").count() == 9
    with pytest.raises(ContractError) as caught, errors_of_workers():
        checked(rows, check, "here").count()
    assert str(caught.value) == "here has a 7. Rule: sevens are not allowed. Remedy: take it out."


@pytest.mark.spark
def test_other_errors_of_workers_stay_as_they_are(spark):
    def check(rows: pa.RecordBatch, where: str) -> None:
        raise OSError("no space")

    with pytest.raises(Exception, match="no space") as caught, errors_of_workers():
        checked(spark.range(1), check, "here").count()
    assert not isinstance(caught.value, ContractError)


def _counts(rows_in: int) -> dict:
    return {"rows_in": rows_in, "rows_out": 2, "rows_rejected": 1, "rejected": {"code_missing": 1}}


def test_a_lost_row_is_an_error():
    check_nothing_lost(_counts(3), 3, 3, "here")
    with pytest.raises(ContractError, match="4 diagnoses, 2 out, 1 set aside"):
        check_nothing_lost(_counts(4), 3, 3, "here")
    with pytest.raises(ContractError, match="5 rows, 3 seen"):
        check_nothing_lost(_counts(3), 5, 3, "here")
