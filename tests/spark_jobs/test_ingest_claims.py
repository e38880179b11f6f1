"""The job around the sources: its two folders, and what it says of rows."""

import datetime
import logging

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import ContractError
from spark_jobs.growth import growing
from spark_jobs.sources.claims import ClaimsOptions
from tests.spark_jobs.pipeline import write_extract
from tests.spark_jobs.stages import files_in, strays

pytestmark = pytest.mark.spark

GOOD = "1 2014-03-01 2014-03-02 ICD9_250.00 6 1 0"
BAD = "- 2014-03-01 2014-03-02 ICD9_250.00 6 1 0"


@pytest.fixture
def raw(tmp_path) -> str:
    (tmp_path / "raw").mkdir()
    write_extract(tmp_path / "raw" / "x.tsv", *[GOOD] * 12, BAD)
    return str(tmp_path / "raw")


@pytest.mark.parametrize("options", [{}, {"follow": "now", "settle": "0"}])
def test_rows_set_aside_have_a_folder_of_their_own(run, raw, options):
    with pytest.raises(ContractError, match=r"rejected is .*, and so is output"):
        run.ingest("medbert", raw, rejected=f"{run.path('diagnoses')}/", **options)


@pytest.mark.parametrize("options", [{}, {"follow": "now", "settle": "0"}])
def test_the_log_has_no_small_cell(run, raw, options, caplog):
    with caplog.at_level(logging.INFO, "spark_jobs"):
        run.ingest("medbert", raw, **options)
    said = " ".join(record.getMessage() for record in caplog.records if "rows" in record.getMessage())
    assert "fewer than 11 rows" in said
    assert "about 11" in said
    if not options:
        assert "rejected: patient_missing fewer than 11" in said
    assert "rejected'" not in said


def test_an_error_names_the_rules_without_a_small_cell(run, tmp_path):
    with pytest.raises(ContractError, match=r"set aside: patient_missing fewer than 11\)"):
        run.ingest("medbert", write_extract(tmp_path / "x.tsv", BAD))


def test_what_a_killed_follow_left_is_cleared(run, raw, monkeypatch):
    def die(*_):
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(growing, "publish_over", die)
        with pytest.raises(Exception, match="killed"):  # through Spark, whose error it becomes
            run.ingest("medbert", raw, follow="now", settle="0")
    assert any(path.endswith(".parquet") for path in files_in(run.path("diagnoses")))
    run.ingest("medbert", raw)
    for folder in ("diagnoses", "diagnoses_rejected"):
        assert not [path for path in strays(run.root, [folder]) if "/_follow/" not in path]


def _lines(num_patients: int) -> list[str]:
    return [
        f"{n} 2014-03-0{day} 2014-03-0{day} ICD9_250.00 {day} 1 0"
        for n in range(num_patients)
        for day in range(1, 3 + n % 3)
    ]


def test_a_subset_of_the_patients_is_the_same_in_every_run(run, tmp_path):
    lines = _lines(60)
    raw = write_extract(tmp_path / "x.tsv", *lines, BAD, BAD, BAD)
    found = {}
    for most, num_partitions in ((20, 1), (20, 5), (7, 2), (60, 2), (10**9, 2)):
        manifest = run.ingest("medbert", raw, max_patients=most, num_partitions=num_partitions)
        counts, rows = manifest.counts, run.rows("diagnoses")
        patients = {row["patient_id"] for row in rows}
        found[most, num_partitions] = patients
        assert len(patients) == min(most, 60)
        # All rows of each, and none of any other; a row without a patient is rejected in any case.
        assert len(rows) == sum(line.split(" ")[0] in patients for line in lines)
        assert counts["rejected"] == {"patient_missing": 3}
        assert counts["rows_of_patients_left_out"] == len(lines) - len(rows)
        assert counts["rows_in"] == counts["rows_out"] + counts["rows_rejected"] == len(rows) + 3
        assert manifest.parameters["max_patients"] == most
    assert found[20, 1] == found[20, 5] > found[7, 2]
    assert "rows_of_patients_left_out" not in run.ingest("medbert", raw).counts


def test_the_subset_of_files_that_workers_read_is_that_of_spark(run, tmp_path):
    days = [datetime.date(2014, 3, int(line.split(" ")[1][-2:])) for line in _lines(60)]
    rows = pa.table(
        {
            "p": pa.array([line.split(" ")[0] for line in _lines(60)] + [None]),
            "from": pa.array([*days, days[0]]),
            "code": ["I10"] * (len(days) + 1),
        }
    )
    pq.write_table(rows, tmp_path / "x.parquet", row_group_size=9)
    columns = "patient: p\nadmit: [from]\ndischarge: [from]\nsystem: {constant: ICD10CM}\n"
    columns += "diagnoses: {columns: code}\n"
    results = []
    for further in ("", "missing: ['?']\n"):
        (tmp_path / "map.yaml").write_text(columns + further)
        claims = ClaimsOptions(str(tmp_path / "map.yaml"))
        counts = run.ingest("claims", str(tmp_path / "x.parquet"), claims=claims, max_patients=20).counts
        results.append((run.rows("diagnoses"), counts))
    assert results[0] == results[1]
    assert len({row["patient_id"] for row in results[0][0]}) == 20
    assert results[0][1]["rejected"] == {"patient_missing": 1}


@pytest.mark.parametrize(
    ("most", "more", "message"), [(0, {}, "max_patients is 0"), (5, {"follow": "now"}, "follow")]
)
def test_subsets_that_are_none(run, raw, most, more, message):
    with pytest.raises(ContractError, match=message):
        run.ingest("medbert", raw, max_patients=most, **more)
