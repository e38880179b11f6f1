import gzip
import json

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from schemas.errors import ContractError
from spark_jobs.sources.omop import OmopOptions
from tests.spark_jobs.pipeline import Run

pytestmark = pytest.mark.spark

CONDITIONS = """\
condition_occurrence_id,person_id,condition_start_date,condition_end_date,condition_type_concept_id,visit_occurrence_id,condition_source_value,condition_source_concept_id
1,-7,2014-03-01,2014-03-05,32821,100,25000  ,44836914
2,-7,2014-03-01,,32821,100,E119,45533020
3,-7,2014-06-01,2014-06-02,32821,,I10,35207668
4,8,2014-07-01,,32817,999,AF,2000031019
5,8,2014-07-01,,32821,999,4019,44821949
6,8,2014-07-02,2014-07-02,32821,101,I10,35207668
"""
VISITS = """\
visit_occurrence_id,person_id,visit_start_date,visit_end_date
100,-7,2014-02-28,2014-03-06
101,8,2014-07-03,2014-07-01
"""
PERSONS = "person_id,year_of_birth\n-7,1950\n"


@pytest.fixture
def omop(tmp_path):
    folder = tmp_path / "omop"
    folder.mkdir()
    (folder / "CONDITION_OCCURRENCE.csv").write_text(CONDITIONS)
    (folder / "visit_occurrence.csv.gz").write_bytes(gzip.compress(VISITS.encode()))
    (folder / "person.csv").write_text(PERSONS)
    return folder


def _check(run: Run, manifest):
    found = {
        (r["patient_id"], r["visit_id"], str(r["admit_date"]), str(r["discharge_date"]), r["code"])
        for r in run.rows("diagnoses")
    }
    assert found == {
        ("-7", "100", "2014-02-28", "2014-03-06", "ICD9CM//250.00"),
        ("-7", "100", "2014-02-28", "2014-03-06", "ICD10CM//E11.9"),
        ("-7", None, "2014-06-01", "2014-06-02", "ICD10CM//I10"),
        ("8", "999", "2014-07-01", "2014-07-01", "ICD9CM//401.9"),
    }
    assert manifest.counts["rejected"] == {"discharge_before_admit": 1, "code_system_unknown": 1}
    assert manifest.counts["dates_of_condition"] == 2  # of those that are used
    assert manifest.counts["visit_unknown"] == 1
    assert manifest.counts["persons_unknown"] == 1
    assert manifest.counts["rows_in"] == 6


def test_visits_give_the_dates_and_conditions_without_a_visit_their_own(run, omop):
    _check(run, run.ingest("omop", str(omop)))
    raw = [json.loads(row["raw"]) for row in run.rows("diagnoses_rejected")]
    assert {row["condition_source_value"] for row in raw} == {"AF", "I10"}


def test_parquet_with_its_own_types(run, omop):
    for table in ("CONDITION_OCCURRENCE.csv", "visit_occurrence.csv.gz"):
        name = table.split(".")[0]
        rows = pyarrow.csv.read_csv(omop / table)  # finds integers and dates
        dates = [i for i, field in enumerate(rows.schema) if pa.types.is_date(field.type)]
        for i in dates:
            rows = rows.set_column(i, rows.schema.names[i], rows[i].cast(pa.timestamp("us")))
        assert dates
        (omop / table).unlink()
        (omop / name).mkdir()
        pq.write_table(rows, omop / name / "part-0.parquet")
    _check(run, run.ingest("omop", str(omop)))


def test_only_the_condition_types_asked_for(run, omop):
    manifest = run.ingest("omop", str(omop), omop=OmopOptions([32821]))
    assert manifest.counts["rows_in"] == 5
    assert manifest.counts["rows_of_other_types"] == 1
    assert manifest.parameters["omop"]["condition_types"] == [32821]
    assert manifest.parameters["omop"]["domains"] == ["condition"]
    assert manifest.counts["rejected"] == {"discharge_before_admit": 1}


def test_a_missing_table_and_a_missing_column(run, omop):
    (omop / "person.csv").rename(omop / "people.csv")
    with pytest.raises(
        ContractError, match=r"0 tables person \(it has CONDITION_OCCURRENCE.csv, people.csv, visit"
    ):
        run.ingest("omop", str(omop))
    (omop / "people.csv").rename(omop / "person.csv")
    (omop / "CONDITION_OCCURRENCE.csv").write_text("person_id\n1\n")
    with pytest.raises(ContractError, match=r"table condition_occurrence has no column condition_start_date"):
        run.ingest("omop", str(omop))


def test_a_visit_that_stands_twice_is_an_error_not_more_rows(run, omop):
    (omop / "visit_occurrence.csv.gz").write_bytes(
        gzip.compress((VISITS + VISITS.splitlines()[1] + "\n").encode())
    )
    with pytest.raises(ContractError, match=r"6 rows, 8 seen.*stands\s+there once"):
        run.ingest("omop", str(omop))
    assert not (omop.parent / "run" / "diagnoses" / "manifest.json").exists()


DRUGS = """\
drug_exposure_id,person_id,drug_exposure_start_date,drug_exposure_end_date,drug_type_concept_id,visit_occurrence_id,drug_source_value,drug_source_concept_id
1,-7,2014-03-01,2014-03-31,32838,100,00093101510,45075320
2,-7,2014-03-01,,32838,,197361,19073777
3,-7,1949-03-01,,32838,,6809,0
"""
PROCEDURES = """\
procedure_occurrence_id,person_id,procedure_date,procedure_type_concept_id,visit_occurrence_id,procedure_source_value,procedure_source_concept_id
1,-7,2014-03-02,32821,100,0016070,2787823
2,-7,2014-03-02,32821,100,99213,2414397
"""
CONCEPTS = "concept_id,vocabulary_id\n19073777,RxNorm\n2414397,CPT4\n44836914,ICD9CM\n0,None\n"


def test_drugs_and_procedures_when_asked(run, omop):
    (omop / "drug_exposure.csv").write_text(DRUGS)
    (omop / "procedure_occurrence.csv").write_text(PROCEDURES)
    (omop / "concept.csv").write_text(CONCEPTS)
    manifest = run.ingest("omop", str(omop), omop=OmopOptions(domains=["condition", "drug", "procedure"]))
    found = {(r["code"], str(r["admit_date"]), str(r["discharge_date"])) for r in run.rows("diagnoses")}
    assert found >= {
        ("NDC//00093101510", "2014-02-28", "2014-03-06"),  # the domain's default, and its visit's dates
        ("RXNORM//197361", "2014-03-01", "2014-03-01"),  # the source concept's vocabulary
        ("ICD10PCS//0016070", "2014-02-28", "2014-03-06"),
        ("CPT4//99213", "2014-02-28", "2014-03-06"),
        ("ICD9CM//250.00", "2014-02-28", "2014-03-06"),
    }
    assert manifest.counts["rows_in"] == 11
    assert manifest.counts["rejected"] == {
        "discharge_before_admit": 1, "code_system_unknown": 1, "before_birth": 1,
    }  # fmt: skip
    with pytest.raises(ContractError, match=r"omop.domains is \[lab\]"):
        run.ingest("omop", str(omop), omop=OmopOptions(domains=["lab"]))


def _events(omop, table: str, *rows: tuple[str, object]) -> None:
    """A table of events of one person and day: (source value, source concept)."""
    prefix = table.partition("_")[0]
    start = {"condition": "condition_start_date", "drug": "drug_exposure_start_date"}.get(
        prefix, "procedure_date"
    )
    header = f"person_id,{start},{prefix}_type_concept_id,visit_occurrence_id,{prefix}_source_value"
    lines = [f"8,2014-07-01,1,,{value},{concept}" for value, concept in rows]
    if prefix != "procedure":
        header, lines = f"{start[:-10]}end_date,{header}", [f"2014-07-01,{line}" for line in lines]
    text = "\n".join([f"{header},{prefix}_source_concept_id", *lines]) + "\n"
    (omop / f"{table.upper()}.csv").write_text(text)


UNKNOWN = [(code, concept) for code in ("V5867", "E8791", "25000", "E119") for concept in (0, "", -1, "None")]


def test_a_concept_that_is_not_known_says_no_code_system(run, omop):
    _events(omop, "condition_occurrence", *UNKNOWN, ("V5867", 44829914), ("E119", 45533020))
    manifest = run.ingest("omop", str(omop))
    assert {row["code"] for row in run.rows("diagnoses")} == {"ICD9CM//V58.67", "ICD10CM//E11.9"}
    assert manifest.counts["rejected"] == {"code_system_unknown": len(UNKNOWN)}
    assert manifest.counts["system_assumed"] == 1  # a concept of no known range


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("ICD-10-CM", {"ICD10CM//V58.67", "ICD10CM//E87.91", "ICD10CM//E11.9"}),
        ("ICD9CM", {"ICD9CM//V58.67", "ICD9CM//E879.1", "ICD9CM//250.00"}),
    ],
)
def test_the_system_of_the_options_is_counted_where_it_is_assumed(run, omop, name, codes):
    _events(omop, "condition_occurrence", *UNKNOWN, ("V5867", 44829914), ("I10", 2000031019))
    manifest = run.ingest("omop", str(omop), omop=OmopOptions(condition_system=name))
    assert {row["code"] for row in run.rows("diagnoses")} == codes | {"ICD9CM//V58.67"}
    # A site's own concept is known not to be of it.
    assert manifest.counts["rejected"] == {"code_malformed": 4, "code_system_unknown": 1}
    assert manifest.counts["system_assumed"] == 12


def test_only_a_code_that_no_other_system_could_have_says_its_system(run, omop):
    _events(omop, "condition_occurrence")
    procedures = [("99282", 2414394), ("7869", 2006519), ("0SRD0J9", 0), ("1225002", 4029715), ("0016070", 0)]
    drugs = [("0093-1015-10", 0), ("00093101510", 0), ("0093101510", 0), ("197361", 0), ("N02BE01", 0)]
    _events(omop, "procedure_occurrence", *procedures)
    _events(omop, "drug_exposure", *drugs)
    domains = ["condition", "drug", "procedure"]
    manifest = run.ingest("omop", str(omop), omop=OmopOptions(domains=domains))
    assert sorted(row["code"] for row in run.rows("diagnoses")) == [
        "ICD10PCS//0016070", "ICD10PCS//0SRD0J9", "NDC//00093101510", "NDC//00093101510",
    ]  # fmt: skip
    assert manifest.counts["rejected"] == {"code_system_unknown": 6}
    assert manifest.counts["system_assumed"] == 4
    options = OmopOptions(domains=domains, procedure_system="CPT", drug_system="RxNorm")
    manifest = run.ingest("omop", str(omop), omop=options)
    assert sorted(row["code"] for row in run.rows("diagnoses")) == ["CPT4//99282", "RXNORM//197361"]
    assert manifest.counts["rejected"] == {"code_malformed": 8}


def test_a_table_whose_text_is_null(run, omop):
    header = CONDITIONS.splitlines()[0]
    rows = ["1,8,2014-07-01,NULL,NULL,NULL,I10,35207668", "2,8,2014-07-01,NULL,NULL,NULL,NULL,NULL",
            "3,NULL,NULL,NULL,NULL,NULL,NULL,NULL"]  # fmt: skip
    (omop / "CONDITION_OCCURRENCE.csv").write_text("\n".join([header, *rows]) + "\n")
    manifest = run.ingest("omop", str(omop))
    (found,) = run.rows("diagnoses")
    assert (found["code"], found["visit_id"], str(found["discharge_date"])) == (
        "ICD10CM//I10", None, "2014-07-01",
    )  # fmt: skip
    assert manifest.counts["rejected"] == {"patient_missing": 1, "code_missing": 1}
    assert manifest.counts["visit_unknown"] == 0
