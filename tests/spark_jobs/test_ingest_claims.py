"""The job around the sources: its two folders, and what it says of rows."""

import logging

import pytest

from schemas.errors import ContractError
from spark_jobs.growth import growing
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
