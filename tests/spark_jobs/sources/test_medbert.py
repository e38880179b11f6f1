import json
from collections import Counter

import pytest

from schemas.errors import ContractError
from tests.spark_jobs.pipeline import HEADER, write_extract

pytestmark = pytest.mark.spark

GOOD = "1 2014-03-01 2014-03-02 ICD9_250.00 6 1 0"


def test_a_good_row_in_full(run, tmp_path):
    manifest = run.ingest(
        "medbert", write_extract(tmp_path / "x.tsv", GOOD, "1 2200-03-01 2200-03-01 ICD10_e119 - 2.0 -")
    )
    first, second = run.rows("diagnoses")
    assert first.pop("admit_date").isoformat() == "2014-03-01"
    assert first.pop("discharge_date").isoformat() == "2014-03-02"
    assert first == {
        "patient_id": "1", "visit_id": None, "code": "ICD9CM//250.00",
        "order_1": 6, "order_2": 0, "order_3": 1,
    }  # fmt: skip
    assert second["code"] == "ICD10CM//E11.9"
    assert (second["order_1"], second["order_2"], second["order_3"]) == (None, None, 2)
    assert manifest.parameters == {"source": "medbert"}
    assert manifest.counts == {
        "rows_in": 2,
        "rows_out": 2,
        "rows_rejected": 0,
        "rejected": {},
        "same_day_rows": 1,
        "orders_unreadable": 0,
    }


BAD = {
    "- 2014-03-01 2014-03-02 ICD9_250 6 1 0": "patient_missing",
    "1 - 2014-03-02 ICD9_250 6 1 0": "admit_date_missing",
    "1 2011-02-30 2014-03-02 ICD9_250 6 1 0": "admit_date_unreadable",
    "1 03/01/2014 2014-03-02 ICD9_250 6 1 0": "admit_date_unreadable",
    "1 2014-3-1 2014-03-02 ICD9_250 6 1 0": "admit_date_unreadable",
    "1 0000-01-01 2014-03-02 ICD9_250 6 1 0": "admit_date_unreadable",
    "1 2014-03-01 - ICD9_250 6 1 0": "discharge_date_missing",
    "1 2014-03-01 2014-03-02T25:00 ICD9_250 6 1 0": "discharge_date_unreadable",
    "1 2014-03-03 2014-03-02 ICD9_250 6 1 0": "discharge_before_admit",
    "1 2014-03-01 2014-03-02 - 6 1 0": "code_missing",
    "1 2014-03-01 2014-03-02 ICD9_ 6 1 0": "code_missing",
    "1 2014-03-01 2014-03-02 250.00 6 1 0": "code_system_unknown",
    "1 2014-03-01 2014-03-02 _250.00 6 1 0": "code_system_unknown",
    "1 2014-03-01 2014-03-02 ICD9_A11.9 6 1 0": "code_malformed",
    "1 2014-03-01 2014-03-02 ICD9_38.9 6 1 0": "code_malformed",
    "1 2014-03-01 2014-03-02 ICD10_NaN 6 1 0": "code_malformed",
    "1 2014-03-01 2014-03-02 NaN 6 1 0": "code_missing",
    "1 2014-03-01 2014-03-02 \u3000_250 6 1 0": "code_system_unknown",
    "1 2014-03-01 2014-03-02 \u3000ICD-9\u00a0_38.9 6 1 0": "code_malformed",
    "1 2014-03-01 2014-03-02 LOCAL_None 6 1 0": "code_missing",
    "null 2014-03-01 2014-03-02 ICD9_250 6 1 0": "patient_missing",
    "1 NaT 2014-03-02 ICD9_250 6 1 0": "admit_date_missing",
    "1.5 2014-03-01 2014-03-02 ICD9_250 6 1 0": "patient_unreadable",
    "1.15967E+08 2014-03-01 2014-03-02 ICD9_250 6 1 0": "patient_unreadable",
    "1 2014-03-01 2014-03-02": "row_malformed",
    "1 2014-03-01 2014-03-02 ICD9_250 6 1 0 8": "row_malformed",
}


def test_every_bad_row_is_set_aside_with_its_reason_and_nothing_is_lost(run, tmp_path):
    # A line of tabs only is no row: Spark's reader passes over blank lines.
    manifest = run.ingest("medbert", write_extract(tmp_path / "x.tsv", GOOD, "- - - - - - -", *BAD, GOOD))
    assert len(run.rows("diagnoses")) == 2  # rows that are there twice stay twice
    aside = run.rows("diagnoses_rejected")
    assert Counter(row["reason"] for row in aside) == Counter(BAD.values()) == manifest.counts["rejected"]
    assert (
        manifest.counts["rows_in"]
        == 2 + len(BAD)
        == manifest.counts["rows_out"] + manifest.counts["rows_rejected"]
    )

    before = next(json.loads(row["raw"]) for row in aside if row["reason"] == "discharge_before_admit")
    assert before == {
        "patient_id": "1", "vadate": "2014-03-03", "vddate": "2014-03-02", "diag": "ICD9_250", "poa": "6",
        "diagnosis_priority": "1", "third_party_ind": "0",
    }  # fmt: skip
    missing = next(json.loads(row["raw"]) for row in aside if row["reason"] == "admit_date_missing")
    assert missing["vadate"] in (None, "NaT")
    malformed = [
        json.loads(row["raw"])["_corrupt_record"] for row in aside if row["reason"] == "row_malformed"
    ]
    assert "1\t2014-03-01\t2014-03-02" in malformed


def test_the_prefix_is_any_name_of_a_system(run, tmp_path):
    lines = [f"1 2014-03-01 2014-03-02 {diag} 6 NA 0" for diag in ("icd-10-cm_E119", "I9_250", "LOCAL_a.b")]
    manifest = run.ingest("medbert", write_extract(tmp_path / "x.tsv", *lines))
    assert {row["code"] for row in run.rows("diagnoses")} == {"ICD10CM//E11.9", "ICD9CM//250", "LOCAL//a.b"}
    assert {row["order_3"] for row in run.rows("diagnoses")} == {None}
    assert manifest.counts["rows_rejected"] == 0


def test_a_missing_column_is_named_with_the_table_and_what_was_found(run, tmp_path):
    (tmp_path / "x.tsv").write_text("patient_id\tvadate\tdiag\n1\t2014-03-01\tICD9_250\n")
    with pytest.raises(
        ContractError,
        match=r"x\.tsv has no column vddate, poa.*\(it has 3 columns, patient_id, vadate, diag among them\)",
    ):
        run.ingest("medbert", str(tmp_path / "x.tsv"))


def test_columns_are_found_by_name_in_any_order_and_case(run, tmp_path):
    names = HEADER.split("\t")
    (tmp_path / "x.tsv").write_text(
        "\ufeff" + "\t".join(reversed(names)).upper() + "\r\n" + "\t".join(reversed(GOOD.split(" "))) + "\r\n"
    )
    run.ingest("medbert", str(tmp_path / "x.tsv"))
    (row,) = run.rows("diagnoses")
    assert (row["patient_id"], row["code"], row["order_3"]) == ("1", "ICD9CM//250.00", 1)


def test_a_folder_of_files_with_different_headers_is_an_error(run, tmp_path):
    (tmp_path / "in").mkdir()
    write_extract(tmp_path / "in" / "a.tsv", GOOD)
    names = HEADER.split("\t")
    (tmp_path / "in" / "b.tsv").write_text(
        "\t".join(names[::-1]) + "\n" + "\t".join(GOOD.split(" ")[::-1]) + "\n"
    )
    with pytest.raises(Exception, match="header"):
        run.ingest("medbert", str(tmp_path / "in"))


def test_unknown_source_missing_input_and_input_as_output(run, tmp_path):
    with pytest.raises(ContractError, match=r"source is fhir.*medbert, omop, claims, meds"):
        run.ingest("fhir", str(tmp_path))
    with pytest.raises(ContractError, match="does not exist"):
        run.ingest("medbert", str(tmp_path / "none.tsv"))
    (tmp_path / "run" / "diagnoses").mkdir(parents=True)
    write_extract(tmp_path / "run" / "diagnoses" / "x.tsv", GOOD)
    with pytest.raises(ContractError, match="both input and output"):
        run.ingest("medbert", run.path("diagnoses"))


def test_only_bad_rows_publish_what_was_set_aside_and_nothing_else(run, tmp_path):
    with pytest.raises(ContractError, match=r"patient_missing.*diagnoses_rejected"):
        run.ingest("medbert", write_extract(tmp_path / "x.tsv", "- 2014-03-01 2014-03-02 ICD9_250 6 1 0"))
    assert len(run.rows("diagnoses_rejected")) == 1
    assert not (tmp_path / "run" / "diagnoses" / "manifest.json").exists()


def test_errors_hold_nothing_of_a_single_patient(run, tmp_path):
    raw = write_extract(tmp_path / "x.tsv", "secret-id 1999-12-31 1999-12-30 ICD9_042 6 1 0")
    with pytest.raises(ContractError) as caught:
        run.ingest("medbert", raw)
    assert not any(part in str(caught.value) for part in ("secret-id", "1999", "042"))


def test_an_order_costs_no_row(run, tmp_path):
    """POA as billing writes it, and a priority that is no number of 32 bits."""
    orders = ["Y", "N", "1", "U", "2", "W", "??"]
    lines = [f"1 2014-03-01 2014-03-02 ICD9_25{n} {poa} 1 0" for n, poa in enumerate(orders)]
    manifest = run.ingest(
        "medbert", write_extract(tmp_path / "x.tsv", *lines, GOOD.replace(" 1 0", " 99999999999 0"))
    )
    assert manifest.counts["rejected"] == {}
    assert manifest.counts["orders_unreadable"] == 2
    rows = run.rows("diagnoses")
    of_codes = ["ICD9CM//252", "ICD9CM//254", "ICD9CM//250.00", "ICD9CM//251", "ICD9CM//253", "ICD9CM//255"]
    assert [row["code"] for row in rows] == [*of_codes, "ICD9CM//250", "ICD9CM//256"]
    assert rows[2]["order_3"] is None and rows[-1]["order_1"] is None
    run.vocabulary()
    run.sequences()
    assert [*run.patients()["1"]["codes"]] == [row["code"] for row in rows]


def test_an_id_and_a_day_in_any_spelling(run, tmp_path):
    lines = [
        "7 2014-03-01 2014-03-02",
        "7.0 2014-03-01T13:45:00 2014-03-02T00:00",
        "7.0E0 2014-03-01 2014-03-02",
    ]
    lines = [f"{line} ICD9_250 {n} 1 0" for n, line in enumerate([*lines, "007 2014-03-01 2014-03-02"])]
    run.ingest("medbert", write_extract(tmp_path / "x.tsv", *lines))
    rows = run.rows("diagnoses")
    assert Counter(row["patient_id"] for row in rows) == {"7": 3, "007": 1}
    assert {(str(row["admit_date"]), str(row["discharge_date"])) for row in rows} == {
        ("2014-03-01", "2014-03-02")
    }
