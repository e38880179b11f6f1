"""Claims that workers read from files themselves become what they become through Spark, file for file."""

import datetime
import json
import os
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_jobs.sources import claims as claims_source
from spark_jobs.sources.claims import ClaimsOptions
from spark_jobs.sources.parquet_files import open_parquet_files
from spark_jobs.sources.raw_rows import FileRows
from spark_jobs.sources.tables import RawInput

pytestmark = pytest.mark.spark

MAP = """\
patient: Member
claim: claim
visit: stay
admit: [admitted, from]
discharge: [discharged, to]
system: {column: version, values: {'9': ICD9CM, '10': ICD10CM}}
diagnoses: {columns: 'dx_{1..3}'}
"""
LONG = """\
patient: member
admit: [admitted]
discharge: [discharged]
system: {constant: ICD10CM}
diagnoses: {columns: dx_1, order: place}
"""
SEVERAL = """\
patient: member
claim: claim
admit: [admitted]
discharge: [to]
system: {columns: [version, other], values: {'': ICD-9, '9': ICD9CM, '10': ICD10CM}}
diagnoses: {columns: 'dx_{1..2}'}
procedures: [{columns: dx_3, system: {constant: icd-10}}]
drugs: [{columns: place, system: {column: version, values: {'10': RxNorm}}}]
"""
NAMED = """\
patient: member
visit: stay
admit: [admitted]
discharge: [to]
system: {column: other, values: {'': ICD-9, x: ICD9}}
diagnoses: {columns: [dx_1, dx_2]}
"""


EACH = MAP.replace(
    "column: version, values: {", "columns: [version, place, other], values: {'': ICD9CM, '2.0': ICD10CM, "
)
SPARK = {"format_options": {"mergeSchema": False}}
"""Options make Spark read the files."""
COLUMNS = {
    **{name: pa.string() for name in ("member ", "claim", "STAY", "dx_1", "dx_2", "dx_3", "place", "other")},
    **{name: pa.date32() for name in ("admitted", "from", "discharged", "to")},
    "version": pa.int32(),
}


def _rows(number: int) -> list[dict]:
    """Claims of every kind: without ids, dates or codes, with white space, dates in a wrong order, …"""
    chance = random.Random(number)

    def day(first: int, none: float):
        return None if chance.random() < none else datetime.date(2016, 1, chance.randint(first, first + 12))

    return [
        {
            "member ": chance.choice(
                ["p1", "p2", " p2", "p\u3000", "ümläut", "p\ufffd", "", " \x1f"]
                + ["NULL", " nan", "NaNa", None]
                + ["p1", "p2", "p3"] * 5
                + ["7", "7.0", " 7.0E0", "7.5", "1.2E+1", "\ufffd1.5"]
            ),
            "claim": chance.choice(["c1", "c1 ", "c2", "", "None", None] * 3 + ["0", "3.25", "4.0"]),
            "STAY": chance.choice(["s1", "s2", " ", "<NA>", None] * 3 + ["-1.0", "00", "8.0", "8", "8.5"]),
            "admitted": day(1, 0.2), "from": day(3, 0.2), "discharged": day(10, 0.4), "to": day(5, 0.1),
            "version": chance.choice([9, 10, 10, 10, 3, None]),
            "dx_1": chance.choice(["E119", "e11.9 ", "4019", "??", "", None]),
            "dx_2": chance.choice(["I10", "I10X", "V58", None, " ", "nan"]),
            "dx_3": chance.choice([None, None, "Z00.0"]),
            "place": chance.choice(["1", "2.0", " 3", "first", "", "NA", None]),
            "other": chance.choice(["ICD-10", "icd9cm", "9", "", "NaN", "x", None]),
        }
        for _ in range(number)
    ]  # fmt: skip


def _write(folder, rows, num_files: int = 3) -> str:
    os.makedirs(folder)
    for n in range(num_files):
        table = pa.Table.from_pylist(rows[n::num_files], schema=pa.schema(list(COLUMNS.items())))
        pq.write_table(table, f"{folder}/{n}.parquet", row_group_size=7)
    return str(folder)


@pytest.fixture
def claims_map(tmp_path):
    """claims_map(text): options of source claims."""

    def go(text: str) -> ClaimsOptions:
        (tmp_path / "map.yaml").write_text(text)
        return ClaimsOptions(str(tmp_path / "map.yaml"))

    return go


def _is_read_from_files(spark, uri: str, columns: ClaimsOptions, **more) -> bool:
    return isinstance(claims_source.read(RawInput(spark, uri, **more), columns).rows, FileRows)


def _ingested(run, name: str, **options):
    manifest = run.ingest("claims", **options)
    rejected = run.manifest("diagnoses_rejected")
    os.rename(run.root, f"{run.root}_{name}")
    return manifest.to_json(), rejected.to_json()


@pytest.mark.parametrize(
    "text",
    [MAP, LONG, NAMED, SEVERAL, EACH],
    ids=["wide", "long", "named", "several", "a system for each code"],
)
def test_the_same_bytes_as_through_spark(spark, run, tmp_path, claims_map, text):
    raw, options = _write(tmp_path / "raw", _rows(300)), claims_map(text)
    assert _is_read_from_files(spark, raw, options)
    assert not _is_read_from_files(spark, raw, options, options={"mergeSchema": False})
    asked = {"raw": raw, "claims": options, "num_partitions": 4}
    ours = _ingested(run, "files", **asked)
    through_spark = _ingested(run, "spark", **asked, **SPARK)
    assert ours == through_spark
    manifest = json.loads(ours[0])
    reasons = {"patient_missing", "code_malformed", "encoding_unreadable"}
    assert manifest["counts"]["rejected"].keys() >= reasons
    if text == EACH:
        assert manifest["counts"]["rejected"]["code_system_unknown"] > 10
    assert manifest["counts"]["rows_out"] > 20
    if text == MAP:
        assert manifest["counts"]["discharge_date_fallback"] > 10
    # Rows without a patient are spread.
    assert len(json.loads(ours[1])["files"]) == 4


def test_the_same_bytes_however_rows_lie_in_files(run, tmp_path, claims_map, monkeypatch):
    rows, options = _rows(200), claims_map(MAP)
    one = _ingested(run, "one", raw=_write(tmp_path / "1", rows, 1), claims=options, num_partitions=3)
    random.Random(1).shuffle(rows)
    monkeypatch.setattr("spark_jobs.sources.parquet_files.ROWS_PER_TASK", 20)
    monkeypatch.setattr("spark_jobs.sources.raw_rows.MOST_ROWS", 10)
    five = _ingested(run, "five", raw=_write(tmp_path / "5", rows, 5), claims=options, num_partitions=3)
    assert one == five


def test_a_patient_of_more_rows_than_a_task_looks_at_at_once(spark):
    from spark_jobs.sources.raw_rows import _patients_in
    from spark_jobs.transforms.diagnoses import PATIENT
    from spark_jobs.transforms.scattering import scatter

    patients = ["b"] * 12 + ["a"] * 3 + ["c"]
    rows = pa.RecordBatch.from_pydict({PATIENT: patients, "n": list(range(16))})
    pieces = [*scatter(rows, pa.array([0] * 16).to_numpy()), *scatter(rows, pa.array([0] * 16).to_numpy())]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spark_jobs.sources.raw_rows.MOST_ROWS", 5)
        batches = list(_patients_in(iter(pieces), lambda rows: rows))
    of_batches = [set(batch[PATIENT].to_pylist()) for batch in batches]
    assert [len(batch[PATIENT]) for batch in batches if "b" in batch[PATIENT].to_pylist()] == [24]
    assert sum(len(patients) for patients in of_batches) == 3
    assert sorted(n for batch in batches for n in batch["n"].to_pylist()) == sorted(2 * list(range(16)))


@pytest.mark.parametrize(
    "rule",
    [
        "missing: ['?']",
        "date_format: MM/dd/yyyy",
        "repairs: [{pattern: '^0', replacement: ''}]",
        "inpatient: {column: other, values: [x]}",
        "birth: {column: from}",
        "status: {column: other, reversed: [V]}",
        "drop_duplicate_lines: true",
    ],
)
def test_a_map_with_further_rules_goes_through_spark(spark, tmp_path, claims_map, rule):
    assert not _is_read_from_files(spark, _write(tmp_path / "raw", _rows(5)), claims_map(f"{MAP}{rule}\n"))


@pytest.mark.parametrize("column", ["admitted", "member ", "version", "dx_2"])
def test_so_do_columns_of_other_types(spark, tmp_path, claims_map, column):
    raw = _write(tmp_path / "raw", _rows(5), 1)
    table = pq.read_table(f"{raw}/0.parquet")
    kind = pa.timestamp("us") if column == "admitted" else pa.float64()
    place = table.schema.get_field_index(column)
    pq.write_table(table.set_column(place, column, pa.nulls(5, kind)), f"{raw}/0.parquet")
    assert not _is_read_from_files(spark, raw, claims_map(MAP))


def test_so_do_files_that_differ_or_are_no_plain_files(spark, tmp_path, claims_map):
    options = claims_map(MAP)
    raw = _write(tmp_path / "raw", _rows(9))
    assert _is_read_from_files(spark, raw, options)
    (tmp_path / "raw" / "_notes.txt").write_text("Spark passes over it")
    assert _is_read_from_files(spark, raw, options)
    assert _is_read_from_files(spark, f"{raw}/0.parquet", options)
    by_year = _write(tmp_path / "years" / "year=2016", _rows(9))
    assert not _is_read_from_files(spark, os.path.dirname(by_year), options)
    table = pq.read_table(f"{raw}/1.parquet")
    pq.write_table(table.rename_columns([name.upper() for name in table.column_names]), f"{raw}/1.parquet")
    assert not _is_read_from_files(spark, raw, options)


def test_files_in_folders_below_are_not_read(spark, run, tmp_path, claims_map):
    options = claims_map(LONG)
    raw = _write(tmp_path / "raw", _rows(90))
    alone = run.ingest("claims", raw, claims=options).counts
    _write(tmp_path / "raw" / "archive", _rows(60))
    assert not _is_read_from_files(spark, raw, options)
    assert run.ingest("claims", raw, claims=options).counts == alone


@pytest.mark.parametrize("options", [{}, SPARK], ids=["files", "spark"])
def test_dates_that_are_in_no_calendar_are_set_aside(run, tmp_path, claims_map, options):
    days = pa.array([16_801, 5_000_000, -1_000_000], pa.int32()).cast(pa.date32())
    columns = {
        "member": ["p"] * 3,
        "admitted": days,
        "discharged": days,
        "dx_1": ["I10"] * 3,
        "place": ["1"] * 3,
    }
    (tmp_path / "raw").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "raw" / "0.parquet")
    for as_of in (None, "2024-01-01"):
        given = {"claims": claims_map(LONG), "as_of": as_of, **options}
        counts = run.ingest("claims", str(tmp_path / "raw"), **given).counts
        assert counts["rejected"] == {"admit_date_unreadable": 2}
    shown = [json.loads(row["raw"])["admitted"] for row in run.rows("diagnoses_rejected")]
    assert sorted(shown) == ["-0768-02-04", "15659-07-15"]


def test_what_is_no_parquet_is_refused_by_name(run, tmp_path, claims_map):
    raw = _write(tmp_path / "raw", _rows(9))
    (tmp_path / "raw" / "0.parquet").write_text("no Parquet")
    with pytest.raises(Exception, match="parquet"):
        run.ingest("claims", raw, claims=claims_map(MAP))


def test_small_files_are_still_work_for_every_core(tmp_path):
    raw = _write(tmp_path / "raw", _rows(60), 2)  # in row groups of 7
    uris = [f"{raw}/{n}.parquet" for n in range(2)]
    wanted = ["member", "dx_1"]
    for cores, tasks in ((1, 1), (3, 3), (100, 10)):
        files = open_parquet_files(uris, wanted, cores)
        assert len(files.tasks) >= min(tasks, cores)
        read = [rows for task in range(len(files.tasks)) for rows in files.read(task)]
        assert sum(rows.num_rows for rows in read) == files.num_rows == 60
        assert read[0].schema.names == wanted
