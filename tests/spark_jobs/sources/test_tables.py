"""Formats of the input: by extension, by name, and from the catalog."""

import gzip

import pytest
from pyspark.sql import functions as F

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
    stamps = {name: F.to_timestamp(name) for name in ("vadate", "vddate")}
    rows.withColumns(stamps).write.parquet(str(tmp_path / "stamps"))
    rows.write.option("sep", "|").option("header", True).csv(str(tmp_path / "bars"))
    rows.createOrReplaceTempView("extract")

    assert run.ingest("medbert", str(tmp_path / "parquet")).parameters == {"source": "medbert"}
    assert run.rows("diagnoses") == expected
    run.ingest("medbert", str(tmp_path / "stamps"))
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


PATIENT_S_ROW = "smith-john 2014-03-01 2014-03-02 ICD9_250.00 6 1 0"


def _without_header(path) -> None:
    path.write_text(PATIENT_S_ROW.replace(" ", "\t") + "\n")


def test_a_file_without_a_header_shows_no_patient(run, tmp_path, capfd):
    _without_header(tmp_path / "x.tsv")
    with pytest.raises(ContractError, match=r"it has 7 columns, none that is needed among them") as refused:
        run.ingest("medbert", str(tmp_path / "x.tsv"))
    said = "".join([str(refused.value), *capfd.readouterr()])
    assert "smith" not in said.lower()


@pytest.mark.parametrize("options", [{}, {"comment": "#"}, {"multiLine": True, "mode": "FAILFAST"}])
def test_nor_does_one_among_others(run, spark, tmp_path, capfd, options):
    (tmp_path / "raw").mkdir()
    for n in range(3):
        write_extract(tmp_path / "raw" / f"{n} 100%.tsv", *LINES)
    (tmp_path / "raw" / "empty.tsv").write_text("")
    run.ingest("medbert", str(tmp_path / "raw"), format="csv", format_options=options)
    assert len(run.rows("diagnoses")) == 6
    _without_header(tmp_path / "raw" / "x.tsv")
    spark.sparkContext.setLogLevel("WARN")
    try:
        with pytest.raises(
            ContractError, match=r"names other columns \(7\) than that of .*%.tsv \(7\)"
        ) as refused:
            run.ingest("medbert", str(tmp_path / "raw"), format="csv", format_options=options)
    finally:
        spark.sparkContext.setLogLevel("ERROR")
    said = "".join([str(refused.value), *capfd.readouterr()])
    assert "smith" not in said.lower()


def test_headers_that_say_the_same_are_one(run, tmp_path):
    (tmp_path / "raw").mkdir()
    first = write_extract(tmp_path / "raw" / "1.tsv", *LINES)
    with open(first) as file:
        text = file.read()
    (tmp_path / "raw" / "2.tsv").write_text("\n" + text.replace("diag\t", '"DIAG"\t'))
    with gzip.open(tmp_path / "raw" / "3.tsv.gz", "wt") as file:
        file.write(text)
    run.ingest("medbert", str(tmp_path / "raw"))
    assert len(run.rows("diagnoses")) == 6


def test_a_column_may_have_no_name_and_two_the_same(spark, tmp_path):
    """As pandas writes its index."""
    (tmp_path / "raw").mkdir()
    for name in ("1.csv", "2.csv"):
        (tmp_path / "raw" / name).write_text(",pid,dx,dx\n0,p,I10,E11.9\n")
    rows = RawInput(spark, str(tmp_path / "raw")).read().collect()
    assert [row["pid"] for row in rows] == ["p", "p"]
    assert [tuple(row) for row in rows] == [("0", "p", "I10", "E11.9", None)] * 2


def test_a_folder_s_form_is_that_of_its_own_files(spark, tmp_path):
    (tmp_path / "raw" / "archive").mkdir(parents=True)
    (tmp_path / "raw" / "archive" / "a.parquet").write_text("Spark passes over it")
    (tmp_path / "raw" / "x.tsv").write_text("a\tb\n1\t2\n")
    raw = RawInput(spark, str(tmp_path / "raw"))
    assert raw.read().columns[:2] == ["a", "b"]
    assert raw.read().count() == 1
    assert raw.parquet_files() == []
