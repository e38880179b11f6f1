"""A path is that path, whatever signs in it a Hadoop glob knows: no sibling folder's patients are read."""

import bz2
import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_jobs.sources.claims import ClaimsOptions
from spark_jobs.sources.tables import RawInput
from tests.spark_jobs.pipeline import Run, write_extract

pytestmark = pytest.mark.spark

SIGNS = [
    "[ab]",
    "[!c]",
    "[^c]",
    "{a,b}",
    "*",
    "?",
    "a\\",
    "\\*",
    "a,b",
    "a b",
    "100%",
    "a%20b",
    "#a",
    "é",
    "]{",
]
SIBLINGS = ["a", "b", "aa", "ab"]
OPTIONS = {
    "plain": {},
    "encoding": {"encoding": "ISO-8859-1"},
    "several lines": {"multiLine": True},
    "wide": {"encoding": "UTF-16"},
}


def _put(folder, text: str, encoding: str) -> None:
    folder.mkdir(parents=True)
    (folder / "x.csv").write_text(text, encoding=encoding)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_text(spark, tmp_path, options):
    encoding = options.get("encoding", "utf-8")
    for name in SIBLINGS:
        _put(tmp_path / f"x{name}x", "other,names\nsibling,sibling\n", encoding)
    for number, sign in enumerate(SIGNS):
        folder = tmp_path / f"x{sign}x"
        _put(folder, f"id,text\n{number},ä\n", encoding)
        for path in (str(folder), str(folder / "x.csv"), f"file:{folder}"):
            rows = RawInput(spark, path, options=options).read()
            assert [tuple(row) for row in rows.collect()] == [(str(number), "ä", None)], sign


def test_parquet_and_other_files(spark, tmp_path):
    def put(folder, number: int) -> None:
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"id": [number]}), folder / "1.parquet")
        pq.write_table(pa.table({"id": [float(number)]}), folder / "2.parquet")

    for name in SIBLINGS:
        put(tmp_path / f"x{name}x", 1_000)
    for number, sign in enumerate(SIGNS):
        folder = tmp_path / f"x{sign}x"
        put(folder, number)
        rows = RawInput(spark, str(folder)).read()
        assert [row["id"] for row in rows.collect()] == [str(number)] * 2, sign
        (tmp_path / f"y{sign}").mkdir()
        (tmp_path / f"y{sign}" / "x.json").write_text(f'{{"id": {number}}}\n')
        rows = RawInput(spark, str(tmp_path / f"y{sign}")).read()
        assert [row["id"] for row in rows.collect()] == [number], sign


MAP = "patient: p\nadmit: [d]\ndischarge: [d]\nsystem: {constant: ICD10CM}\ndiagnoses: {columns: c}\n"


@pytest.mark.parametrize("sign", ["[ab]", "{a,b}", "*?"])
def test_a_run_whose_folders_have_such_names(spark, tmp_path, sign):
    """Followed, read by workers, and read again by the later stages."""
    day = pa.array([0], pa.int32()).cast(pa.date32())
    for name in (sign, "a", "b"):
        (tmp_path / name / "raw").mkdir(parents=True)
        table = pa.table({"p": [f"of {name}"], "d": day, "c": ["I10"]})
        pq.write_table(table, tmp_path / name / "raw" / "x.parquet")
    (tmp_path / "map.yaml").write_text(MAP)
    run = Run(spark, str(tmp_path / sign / "run"))
    claims = ClaimsOptions(str(tmp_path / "map.yaml"))
    for more in ({}, {"format_options": {"mergeSchema": False}}):
        run.ingest("claims", str(tmp_path / sign / "raw"), claims=claims, **more)
        assert [row["patient_id"] for row in run.rows("diagnoses")] == [f"of {sign}"]
    run.vocabulary()
    run.sequences()
    assert run.patients().keys() == {f"of {sign}"}
    landing = tmp_path / sign / "landing"
    landing.mkdir()
    write_extract(landing / f"{sign}.tsv", "1 2014-03-01 2014-03-02 ICD9_250.00 6 1 0")
    followed = Run(spark, str(tmp_path / sign / "followed"))
    assert followed.ingest("medbert", str(landing), follow="now", settle="0").counts["rows_out"] == 1


def test_compressed_text(spark, tmp_path):
    """Whose header line is read here, and the rest by Spark."""
    text = "id;größe\n1;2\n".encode()
    packed = {"gz": gzip.compress(text), "bz2": bz2.compress(text)}
    packed["zst"] = pa.compress(text, codec="zstd", asbytes=True)
    for extension, content in packed.items():
        (tmp_path / f"x.csv.{extension}").write_bytes(content)
        rows = RawInput(spark, str(tmp_path / f"x.csv.{extension}")).read()
        assert rows.columns == ["id", "größe", "_corrupt_record"]
        assert [tuple(row) for row in rows.collect()] == [("1", "2", None)]
