"""Formats of the input: by extension, by name, and from the catalog."""

import pytest

from schemas.errors import ContractError
from spark_jobs.sources.tables import RawInput
from tests.spark_jobs.pipeline import write_extract

pytestmark = pytest.mark.spark

LINES = ("1 2014-03-01 2014-03-02 ICD9_250.00 6 1 0", "1 2014-03-01 2014-03-02 ICD10_E11.9 6 2 0")


def test_one_extract_in_several_forms(run, spark, tmp_path):
    text = write_extract(tmp_path / "x.tsv", *LINES)
    run.ingest("medbert", text)
    expected = run.rows("diagnoses")
    rows = RawInput(spark, text).read().drop("_corrupt_record")
    rows.write.orc(str(tmp_path / "orc"))
    rows.write.parquet(str(tmp_path / "parquet"))
    rows.write.option("sep", "|").option("header", True).csv(str(tmp_path / "bars"))
    rows.createOrReplaceTempView("extract")

    assert run.ingest("medbert", str(tmp_path / "parquet")).parameters == {"source": "medbert"}
    assert run.rows("diagnoses") == expected
    manifest = run.ingest("medbert", str(tmp_path / "orc"), format="orc")
    assert manifest.parameters == {"source": "medbert", "format": "orc"}
    assert run.rows("diagnoses") == expected
    manifest = run.ingest("medbert", str(tmp_path / "bars"), format="csv", format_options={"sep": "|"})
    assert "|" not in manifest.to_json()
    assert run.rows("diagnoses") == expected
    run.ingest("medbert", "extract", format="table")
    assert run.rows("diagnoses") == expected


def test_tables_of_a_database(run, spark, tmp_path):
    """Derby, which comes with Spark: a table by its name, and a query among the options."""
    text = write_extract(tmp_path / "x.tsv", *LINES)
    run.ingest("medbert", text)
    expected = run.rows("diagnoses")
    rows = RawInput(spark, text).read().drop("_corrupt_record")
    database = {"url": "jdbc:derby:memory:claims;create=true", "user": "reader", "password": "s3cret"}
    types = ", ".join(f"{name} VARCHAR(20)" for name in rows.columns)
    writer = rows.write.format("jdbc").options(**database, dbtable="extract", createTableColumnTypes=types)
    writer.save()

    manifest = run.ingest("medbert", "extract", format="jdbc", format_options=database)
    assert run.rows("diagnoses") == expected
    assert manifest.parameters == {"source": "medbert", "format": "jdbc"}
    assert "s3cret" not in manifest.to_json()
    query = database | {"query": "SELECT * FROM extract WHERE \"diag\" LIKE 'ICD9%'"}
    run.ingest("medbert", "extract", format="jdbc", format_options=query)
    assert [row["code"] for row in run.rows("diagnoses")] == ["ICD9CM//250.00"]
    with pytest.raises(ContractError, match="nowhere cannot be read as jdbc") as refused:
        run.ingest("medbert", "nowhere", format="jdbc", format_options=database)
    assert "s3cret" not in str(refused.value)


def test_what_cannot_be_read_is_the_user_s_mistake(run, spark, tmp_path):
    with pytest.raises(ContractError, match=r"no_such_table cannot be read as table"):
        run.ingest("medbert", "no_such_table", format="table")
    with pytest.raises(ContractError, match=r"cannot be read as lance"):
        run.ingest("medbert", str(tmp_path), format="lance")
    with pytest.raises(ContractError, match=r"does not exist"):
        run.ingest("medbert", str(tmp_path / "none"), format="parquet")
