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
999,-7,2014-06-01,2014-07-31
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
        ("8", None, "2014-07-01", "2014-07-01", "ICD9CM//401.9"),
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


VISIT = ["visit_occurrence_id", "person_id", "visit_start_date", "visit_end_date"]
CONDITION = [
    "condition_occurrence_id", "person_id", "condition_start_date", "condition_end_date",
    "condition_type_concept_id", "visit_occurrence_id", "condition_source_value",
    "condition_source_concept_id",
]  # fmt: skip
# How whole numbers come, by name: as text in CSV, else as a type.
AS_NUMBERS = {
    "whole text": str,
    "float text": lambda n: f"{n}.0",
    "Java's float text": lambda n: f"{n // 10**8}.{n % 10**8:08d}E8" if n >= 10**8 else f"{n}.0",
    "int64": pa.int64(),
    "float64": pa.float64(),
    "decimal": pa.decimal128(21, 2),
}


def _write_table(folder, name: str, columns: list[str], rows: list[tuple], kind) -> None:
    """kind: of numbers, one of AS_NUMBERS; None is nothing."""
    folder.mkdir(exist_ok=True)
    values = dict(zip(columns, zip(*rows, strict=True), strict=True))
    if isinstance(kind, pa.DataType):
        typed = {
            name: pa.array(of, pa.int64()).cast(kind) if isinstance(of[0], int) else pa.array(of)
            for name, of in values.items()
        }
        pq.write_table(pa.table(typed), folder / f"{name}.parquet")
        return
    spelt = ([kind(v) if isinstance(v, int) else v or "" for v in row] for row in rows)
    (folder / f"{name}.csv").write_text("\n".join(",".join(line) for line in [columns, *spelt]) + "\n")


@pytest.mark.parametrize(
    ("of_events", "of_visits"), [*((kind, "whole text") for kind in AS_NUMBERS), ("int64", "float64")]
)
def test_ids_are_one_whichever_type_or_spelling_a_table_has(run, tmp_path, of_events, of_visits):
    person, visit = 115967095, 312519990
    rows = [
        (1, person, "2008-10-20", "2008-10-20", 32821, visit, "V5867", 44829914),
        (2, person, "2008-10-20", None, 32821, visit, "I10", 35207668),
        (3, person, "1942-10-20", None, 32821, None, "I10", 35207668),
        (4, person, "2008-10-20", None, 32817, visit, "E119", 35207668),
    ]
    folder = tmp_path / "omop"
    _write_table(folder, "condition_occurrence", CONDITION, rows, AS_NUMBERS[of_events])
    kind = AS_NUMBERS[of_visits]
    _write_table(folder, "visit_occurrence", VISIT, [(visit, person, "2008-10-07", "2008-11-03")], kind)
    births = ["person_id", "year_of_birth", "month_of_birth", "day_of_birth"]
    _write_table(folder, "person", births, [(person, 1943, 7, 1)], kind)
    counts = run.ingest("omop", str(folder), condition_types=(32821,)).counts
    assert [
        (r["patient_id"], r["visit_id"], str(r["admit_date"]), str(r["discharge_date"]), r["code"])
        for r in run.rows("diagnoses")
    ] == [
        (str(person), str(visit), "2008-10-07", "2008-11-03", code)
        for code in ("ICD10CM//I10", "ICD9CM//V58.67")
    ]
    assert counts["rejected"] == {"before_birth": 1}
    assert counts["rows_of_other_types"] == 1
    assert (counts["visit_unknown"], counts["persons_unknown"]) == (0, 0)


def test_ids_that_are_no_whole_numbers_are_rejected_by_name(run, tmp_path):
    rows = [
        (1, 8.5, "2014-03-01", "2014-03-01", 1, 100.0, "I10", 35207668),
        (2, float(2**53), "2014-03-01", "2014-03-01", 1, None, "I10", 35207668),
        (3, 8.0, "2014-03-01", "2014-03-01", 1, 100.25, "I10", 35207668),
        (4, float("nan"), "2014-03-01", "2014-03-01", 1, None, "I10", 35207668),
        (5, 8.0, "2014-03-01", "2014-03-01", 1, float("nan"), "I10", 35207668),
    ]
    folder = tmp_path / "omop"
    folder.mkdir()
    table = pa.table(dict(zip(CONDITION, map(pa.array, zip(*rows, strict=True)), strict=True)))
    pq.write_table(table, folder / "condition_occurrence.parquet")
    _write_table(folder, "visit_occurrence", VISIT, [(100, 8, "2014-03-01", "2014-03-01")], str)
    _write_table(folder, "person", ["person_id"], [(8,)], str)
    counts = run.ingest("omop", str(folder)).counts
    assert counts["rejected"] == {"patient_unreadable": 2, "visit_unreadable": 1, "patient_missing": 1}
    raw = {row["reason"]: json.loads(row["raw"]) for row in run.rows("diagnoses_rejected")}
    assert raw["visit_unreadable"]["visit_occurrence_id"] == "100.25"
    (row,) = run.rows("diagnoses")
    assert (row["patient_id"], row["visit_id"]) == ("8", None)


def test_a_visit_is_one_of_its_person(run, tmp_path):
    rows = [
        (1, 1, "1981-08-18", "1981-08-19", 1, 22, "I10", 35207668),
        (2, 2, "2001-03-04", None, 1, 22, "I10", 35207668),
        (3, 2, "2001-03-04", None, 1, 0, "I10", 35207668),
    ]
    folder = tmp_path / "omop"
    _write_table(folder, "condition_occurrence", CONDITION, rows, str)
    visits = [(22, 2, "2001-03-01", "2001-03-20"), (0, 1, "1990-01-01", "2020-01-01")]
    _write_table(folder, "visit_occurrence", VISIT, visits, str)
    _write_table(folder, "person", ["person_id"], [(1,), (2,)], str)
    counts = run.ingest("omop", str(folder)).counts
    assert {(r["patient_id"], r["visit_id"], str(r["discharge_date"])) for r in run.rows("diagnoses")} == {
        ("1", None, "1981-08-19"), ("2", "22", "2001-03-20"), ("2", None, "2001-03-04"),
    }  # fmt: skip
    assert counts["dates_of_condition"] == counts["visit_unknown"] == 2


@pytest.mark.parametrize("none", ["0", "-1", "", "0.0"])
def test_a_visit_that_the_source_does_not_know_is_no_visit(run, tmp_path, none):
    days = ["2001-05-01", "2009-05-02", "2017-05-03"]
    rows = [(n, 1, day, day, 1, none, "I10", 35207668) for n, day in enumerate(days)]
    folder = tmp_path / "omop"
    _write_table(folder, "condition_occurrence", CONDITION, rows, str)
    _write_table(folder, "visit_occurrence", VISIT, [(85, 1, "2001-05-01", "2001-05-01")], str)
    _write_table(folder, "person", ["person_id"], [(1,)], str)
    run.ingest("omop", str(folder))
    run.vocabulary()
    run.sequences(visits="visit_id")
    patient = run.patients()["1"]
    assert patient["los_days"] == [0, 0, 0]
    assert patient["prolonged_los"] is False


def test_time_stamps_as_text_are_days(run, tmp_path):
    rows = [
        (1, 1, "2018-08-03 22:20:52+00:00", None, 1, 6, "I10", 35207668),
        (2, 1, "2018-08-05T22:20:52Z", "2018-08-06 00:00:00.0000000", 1, None, "E119", 35207668),
    ]
    folder = tmp_path / "omop"
    _write_table(folder, "condition_occurrence", CONDITION, rows, str)
    _write_table(folder, "visit_occurrence", VISIT, [(6, 1, "2018-08-03 00:00:00", "2018-08-04 10:00")], str)
    _write_table(folder, "person", ["person_id"], [(1,)], str)
    run.ingest("omop", str(folder))
    assert [(str(r["admit_date"]), str(r["discharge_date"])) for r in run.rows("diagnoses")] == [
        ("2018-08-03", "2018-08-04"), ("2018-08-05", "2018-08-06"),
    ]  # fmt: skip


CASES = {
    "D_ids_as_floats_csv": [("115967095", "31251999", "2008-10-07", "2008-11-03", "ICD9CM//V58.67"),
                            ("115967095", "31251999", "2008-10-07", "2008-11-03", "ICD10CM//I10")],
    "D_ids_as_floats_parquet": [("115967095", "31251999", "2008-10-07", "2008-11-03", "ICD9CM//V58.67"),
                                ("115967095", "31251999", "2008-10-07", "2008-11-03", "ICD10CM//I10")],
    "E_omop_visit_of_another_person": [("1", None, "1981-08-18", "1981-08-19", "ICD10CM//I10"),
                                       ("2", "22", "2001-03-01", "2001-03-20", "ICD10CM//E11.9")],
    "N_time_stamps_as_text": [("1", "6", "2018-08-03", "2018-08-04", "ICD10CM//I10"),
                              ("1", None, "2018-08-03", "2018-08-03", "ICD10CM//E11.9")],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_field_cases(run, shared, name):
    counts = run.ingest("omop", f"{shared}/cases/data/{name}").counts
    found = {
        (r["patient_id"], r["visit_id"], str(r["admit_date"]), str(r["discharge_date"]), r["code"])
        for r in run.rows("diagnoses")
    }
    assert found >= set(CASES[name])
    assert counts["visit_unknown"] == (1 if name.startswith("E_") else 0)
    assert counts["persons_unknown"] == 0
    if name == "D_ids_as_floats_csv":
        assert (
            run.ingest("omop", f"{shared}/cases/data/{name}", condition_types=(32821,)).counts["rows_in"] == 3
        )
