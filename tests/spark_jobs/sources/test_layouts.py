"""Files in the layouts that people have: small inputs of ours, each as its source writes it."""

import datetime
import glob
import gzip
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from schemas.errors import ContractError
from spark_jobs.sources.claims import ClaimsOptions
from spark_jobs.sources.meds import MedsOptions
from spark_jobs.sources.omop import OmopOptions

pytestmark = pytest.mark.spark


@pytest.fixture
def ingest(run, tmp_path):
    """ingest(map, {file: content}, input, …): the manifest."""

    def go(columns: str, files: dict[str, str | bytes], path: str = "", **options):
        (tmp_path / "raw").mkdir(exist_ok=True)
        for name, content in files.items():
            (tmp_path / "raw" / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        (tmp_path / "map.yaml").write_text(columns)
        claims = ClaimsOptions(str(tmp_path / "map.yaml"))
        return run.ingest("claims", str(tmp_path / "raw" / path), claims=claims, **options)

    return go


def _found(run) -> set[tuple]:
    return {
        (row["patient_id"], str(row["admit_date"]), str(row["discharge_date"]), row["code"])
        for row in run.rows("diagnoses")
    }


RIF = """\
patient: BENE_ID
claim: CLM_ID
line: CLM_LINE_NUM
admit: [CLM_ADMSN_DT, CLM_FROM_DT]
discharge: [NCH_BENE_DSCHRG_DT, CLM_THRU_DT]
date_format: dd-MMM-yyyy
system:
  columns: [PRNCPAL_DGNS_VRSN_CD, 'ICD_DGNS_VRSN_CD{1..2}']
  values: {'0': ICD10CM, '9': ICD9CM, '': ICD9CM}
diagnoses: {columns: [PRNCPAL_DGNS_CD, 'ICD_DGNS_CD{1..2}'], repeat_on_lines: %s}
repairs: [{pattern: '^8$', replacement: '008', system: ICD9CM}]
"""
RIF_HEADER = (
    "DML_IND|BENE_ID|CLM_ID|CLM_LINE_NUM|CLM_FROM_DT|CLM_THRU_DT|CLM_ADMSN_DT|NCH_BENE_DSCHRG_DT|"
    "PRNCPAL_DGNS_CD|PRNCPAL_DGNS_VRSN_CD|ICD_DGNS_CD1|ICD_DGNS_VRSN_CD1|ICD_DGNS_CD2|ICD_DGNS_VRSN_CD2\n"
)
RIF_LINES = (
    "INSERT|-1|-7|1|03-OCT-2015|05-OCT-2015|03-OCT-2015|05-OCT-2015|I10|0|E8791|9|E8791|0\n"
    "INSERT|-2|-8|1|03-FEB-2014|05-FEB-2014|||25000||8||I10|?\n"
)


@pytest.mark.parametrize("repeated", ["true", "false"])
@pytest.mark.parametrize("options", [{}, {"format_options": {"sep": "|"}}], ids=["header's", "given"])
def test_cms_claims_with_a_version_for_each_diagnosis(run, ingest, repeated, options):
    manifest = ingest(RIF % repeated, {"inpatient.txt": RIF_HEADER + RIF_LINES}, "inpatient.txt", **options)
    assert _found(run) == {
        ("-1", "2015-10-03", "2015-10-05", "ICD10CM//I10"),
        ("-1", "2015-10-03", "2015-10-05", "ICD9CM//E879.1"),
        ("-1", "2015-10-03", "2015-10-05", "ICD10CM//E87.91"),
        ("-2", "2014-02-03", "2014-02-05", "ICD9CM//250.00"),
        ("-2", "2014-02-03", "2014-02-05", "ICD9CM//008"),
    }
    assert manifest.counts["rejected"] == {"code_system_unknown": 1}
    assert manifest.counts["codes_repaired"] == 1
    (rejected,) = run.rows("diagnoses_rejected")
    assert rejected["column"] == "icd_dgns_cd2"


SYNPUF = """\
patient: DESYNPUF_ID
claim: CLM_ID
admit: [CLM_ADMSN_DT]
discharge: [NCH_BENE_DSCHRG_DT]
date_format: yyyyMMdd
system: {constant: ICD9CM}
diagnoses: {columns: 'ICD9_DGNS_CD_{1..3}'}
"""


def test_de_synpuf(run, ingest):
    text = (
        '"DESYNPUF_ID","CLM_ID","CLM_ADMSN_DT","NCH_BENE_DSCHRG_DT","ICD9_DGNS_CD_1","ICD9_DGNS_CD_2",'
        '"ICD9_DGNS_CD_3"\n"00013D2EFD8E45D1",196661176988405,20100312,20100313,"4580","78820",\n'
    )
    ingest(SYNPUF, {"inpatient.csv.gz": gzip.compress(text.encode())})
    assert _found(run) == {
        ("00013D2EFD8E45D1", "2010-03-12", "2010-03-13", "ICD9CM//458.0"),
        ("00013D2EFD8E45D1", "2010-03-12", "2010-03-13", "ICD9CM//788.20"),
    }


SYNTHEA = """\
table: claims.csv
patient: PATIENTID
claim: Id
visit: APPOINTMENTID
admit: [CURRENTILLNESSDATE]
discharge: [SERVICEDATE]
date_format: "yyyy-MM-dd'T'HH:mm:ss'Z'"
system: {constant: %s}
diagnoses: {columns: 'DIAGNOSIS{1..8}'}
"""
SYNTHEA_COLUMNS = ["Id", "PATIENTID", "APPOINTMENTID", "CURRENTILLNESSDATE", "SERVICEDATE"]


def test_synthea_s_claims_are_snomed(run, ingest, tmp_path):
    """Their codes are no ICD: under ICD's name they are rejected, under their own they can be mapped."""
    from spark_jobs import map_codes

    names = [*SYNTHEA_COLUMNS, *(f"DIAGNOSIS{n}" for n in range(1, 9))]
    lines = [
        ["c", "p", "e", "2020-01-02T03:04:05Z", "2020-01-04T03:04:05Z", "44054006", "59621000", *[""] * 6]
    ]
    files = {"claims.csv": "\n".join(map(",".join, [names, *lines])) + "\n"}
    with pytest.raises(ContractError, match="set aside: code_malformed fewer than 11"):
        ingest(SYNTHEA % "ICD10CM", files)
    manifest = ingest(SYNTHEA % "SNOMED", files)
    assert _found(run) == {
        ("p", "2020-01-02", "2020-01-04", "SNOMED//44054006"),
        ("p", "2020-01-02", "2020-01-04", "SNOMED//59621000"),
    }
    assert manifest.counts["rejected"] == {}
    (tmp_path / "map.csv").write_text("from,to\n44054006,E11.9\n59621000,I10\n")
    config = map_codes.MapCodes(
        run.path("diagnoses"),
        run.path("mapped"),
        roll_up=str(tmp_path / "map.csv"),
        roll_up_from="SNOMED",
        roll_up_to="ICD10CM",
    )
    map_codes.main(run.spark, config)
    files = glob.glob(f"{run.path('mapped')}/**/*.parquet", recursive=True)
    assert sorted(code for file in files for code in pq.read_table(file)["code"].to_pylist()) == [
        "ICD10CM//E11.9",
        "ICD10CM//I10",
    ]


HCUP = """\
patient: VisitLink
claim: KEY
admit: [%s]
discharge: [%s]
date_format: %s
system: {constant: ICD10CM}
diagnoses: {columns: 'I10_DX{01..03}'}
"""


@pytest.mark.parametrize(
    ("form", "admit", "discharge"),
    [
        ("days since 1960-01-01", "18263", "18266"),
        ("ddMMMyyyy", "01JAN2010", "04JAN2010"),
        ("yyyyMMdd", "20100101", "20100104"),
    ],
)
def test_wide_files_and_dates_of_sas(run, ingest, form, admit, discharge):
    text = f"KEY,VisitLink,A,D,I10_DX01,I10_DX02,I10_DX03\n1,7,{admit},{discharge},I10,,E119\n2,7,.,,I10,,\n"
    manifest = ingest(HCUP % ("A", "D", form), {"core.csv": text})
    assert _found(run) == {
        ("7", "2010-01-01", "2010-01-04", "ICD10CM//I10"),
        ("7", "2010-01-01", "2010-01-04", "ICD10CM//E11.9"),
    }
    assert manifest.counts["rejected"] == {"admit_date_unreadable": 1}
    (rejected,) = run.rows("diagnoses_rejected")
    assert rejected["column"] == "a"


def test_sas_dates_as_numbers_of_parquet(run, ingest):
    table = pa.table(
        {
            "key": [1], "visitlink": ["7"], "a": [18263.0], "d": pa.array([18266]),
            "i10_dx01": ["I10"], "i10_dx02": pa.nulls(1, pa.string()), "i10_dx03": pa.nulls(1),
        }
    )  # fmt: skip
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    ingest(HCUP % ("A", "D", "days since 1960-01-01"), {"core.parquet": sink.getvalue().to_pybytes()})
    assert _found(run) == {("7", "2010-01-01", "2010-01-04", "ICD10CM//I10")}


SIMPLE = """\
patient: id
admit: [from]
discharge: [to]
system: {constant: ICD10CM}
diagnoses: {columns: [dx]}
"""
UMLAUTS = "id,from,to,dx,note\nMüller,2020-01-01,2020-01-02,I10,\nMöller,2020-01-01,2020-01-02,E119,\n"


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "windows-1252", "UTF-16", "UTF-16LE", "UTF-32"])
def test_other_encodings_are_refused_or_rejected_and_read_once_they_are_named(run, ingest, encoding, caplog):
    files = {"x.csv": UMLAUTS.encode(encoding), "y.csv": UMLAUTS.replace("ller", "ll").encode(encoding)}
    if encoding.startswith("UTF"):
        with pytest.raises(ContractError, match=r"x.csv is not in UTF-8.*encoding: UTF-16"):
            ingest(SIMPLE, files)
    else:
        with pytest.raises(ContractError, match=r"encoding_unreadable.*--format_options '{encoding"):
            ingest(SIMPLE, files)
        assert "{encoding: ISO-8859-1}" in caplog.text
        assert {row["column"] for row in run.rows("diagnoses_rejected")} == {"id"}
    ingest(SIMPLE, files, format_options={"encoding": encoding})
    assert {row["patient_id"] for row in run.rows("diagnoses")} == {"Müller", "Möller", "Müll", "Möll"}
    with pytest.raises(ContractError, match="the encoding is latin-99"):
        ingest(SIMPLE, files, format_options={"encoding": "latin-99"})


def test_signs_that_were_lost_before_in_any_column_that_is_read(run, ingest):
    """Also in Parquet, whichever way it is read, and in no other column."""
    day = datetime.date(2020, 1, 1)
    rows = [("a", "I10", None), ("M\ufffdller", "I10", None), ("b", "E\ufffd", None), ("c", "I10", "\ufffd")]
    table = pa.table(
        {
            "id": [row[0] for row in rows],
            "from": [day] * 4,
            "to": [day] * 4,
            "dx": [row[1] for row in rows],
            "note": pa.array([row[2] for row in rows]),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    files = {"x.parquet": sink.getvalue().to_pybytes()}
    of_ways = []
    for options in ({}, {"format_options": {"mergeSchema": False}}):
        counts = ingest(SIMPLE, files, **options).counts
        assert counts["rejected"] == {"encoding_unreadable": 2}
        assert {row["patient_id"] for row in run.rows("diagnoses")} == {"a", "c"}
        of_ways.append([tuple(row.values()) for row in run.rows("diagnoses_rejected")])
    assert of_ways[0] == of_ways[1]
    assert sorted(row[1] for row in of_ways[0]) == ["dx", "id"]


def test_a_lost_sign_undoes_no_other_patient_s_claim(run, ingest):
    rule = "claim: c\nstatus: {column: s, reversed: [V]}\n"
    text = "id,from,to,dx,c,s\np,2020-01-01,2020-01-02,I10,1,\np,2020-01-01,2020-01-02,\ufffd,1,V\n"
    manifest = ingest(SIMPLE + rule, {"x.csv": text})
    assert manifest.counts["rejected"] == {"encoding_unreadable": 1}
    assert manifest.counts["rows_out"] == 1


# OMOP as OHDSI's tools write it.
CONDITIONS = (
    "condition_occurrence_id,person_id,condition_start_date,condition_end_date,condition_type_concept_id,"
    "visit_occurrence_id,condition_source_value,condition_source_concept_id\n"
    "1,1,2010-01-01,,32821,5,V5867,44829914\n2,1,2010-01-01,,32821,5,I10,35207668\n"
)
PROCEDURES = (
    "procedure_occurrence_id,person_id,procedure_date,{}procedure_type_concept_id,visit_occurrence_id,"
)
PROCEDURES += "procedure_source_value,procedure_source_concept_id\n1,1,2010-01-02,{}32821,5,02HV33Z,2741234\n"
CONCEPTS = "concept_id\tconcept_name\tvocabulary_id\tconcept_code\n" + (
    '44829914\t"Long-term" use of insulin\tICD9CM\tV58.67\n'
    '35207668\t"Hypertension\tICD10CM\tI10\n2741234\tInsertion 5"\tICD10PCS\t02HV33Z\n'
)


@pytest.mark.parametrize("version", ["5.3", "5.4"])
def test_omop_with_athena_s_vocabulary(run, tmp_path, version):
    raw = tmp_path / "raw"
    raw.mkdir()
    further = ("procedure_end_date,", "2010-01-02,") if version == "5.4" else ("", "")
    tables = {
        "condition_occurrence.csv": CONDITIONS,
        "procedure_occurrence.csv": PROCEDURES.format(*further),
        "visit_occurrence.csv": "visit_occurrence_id;person_id;visit_start_date;visit_end_date\n"
        "5;1;2010-01-01;2010-01-09\n",
        "person.csv": "person_id,year_of_birth\n1,1950\n",
        "CONCEPT.csv": CONCEPTS,
    }
    for name, text in tables.items():
        (raw / name).write_text(text)
    manifest = run.ingest("omop", str(raw), omop=OmopOptions(domains=["condition", "procedure"]))
    assert _found(run) == {
        ("1", "2010-01-01", "2010-01-09", code)
        for code in ("ICD9CM//V58.67", "ICD10CM//I10", "ICD10PCS//02HV33Z")
    }
    assert manifest.counts["rejected"] == {}


EVENTS = {
    "subject_id": [1, 1, 1],
    "time": [datetime.datetime(2020, 1, 1, 10), datetime.datetime(2020, 7, 1, 23, 30), None],
    "code": ["ICD10CM//E11.9", "ICD10CM/I10", "GENDER//F"],
    "numeric_value": [None, None, None],
}


def _by_spark(spark, folder: str, kind: str) -> None:
    columns = "subject_id long, time timestamp, code string, numeric_value float"
    spark.conf.set("spark.sql.parquet.outputTimestampType", kind)
    rows = spark.createDataFrame(list(zip(*EVENTS.values(), strict=True)), columns)
    if kind == "NTZ":
        rows = rows.withColumn("time", F.col("time").cast("timestamp_ntz"))
    rows.write.parquet(f"{folder}/data")


WRITERS = {
    "Spark, INT96": lambda spark, folder: _by_spark(spark, folder, "INT96"),
    "Spark, UTC": lambda spark, folder: _by_spark(spark, folder, "TIMESTAMP_MICROS"),
    "pandas": lambda spark, folder: (
        pd.DataFrame(EVENTS)
        .astype({"numeric_value": "float32", "time": "datetime64[ns]"})
        .to_parquet(f"{folder}/data/train/0.parquet")
    ),
    "polars": lambda spark, folder: pq.write_table(
        pa.table(
            [*EVENTS.values()],
            schema=pa.schema(
                {
                    "subject_id": pa.int64(),
                    "time": pa.timestamp("us"),
                    "code": pa.large_string(),
                    "numeric_value": pa.float32(),
                }
            ),
        ).append_column("text_value", pa.nulls(3, pa.large_string())),
        f"{folder}/data/train/0.parquet",
    ),
}


def test_meds_of_every_writer(run, spark, tmp_path):
    for name, write in WRITERS.items():
        folder = tmp_path / name
        if "Spark" not in name:
            (folder / "data" / "train").mkdir(parents=True)
        try:
            write(spark, str(folder))
        finally:
            spark.conf.unset("spark.sql.parquet.outputTimestampType")
        manifest = run.ingest("meds", str(folder))
        assert _found(run) == {
            ("1", "2020-01-01", "2020-01-01", "ICD10CM//E11.9"),
            ("1", "2020-07-01", "2020-07-01", "ICD10CM//I10"),
        }, name
        assert manifest.counts["rows_of_other_codes"] == 1


def test_what_a_code_begins_with_and_what_becomes_of_the_others(run, spark, tmp_path):
    raw = tmp_path / "raw"
    (raw / "data").mkdir(parents=True)
    codes = ["DX:I10", "ICD//10//E11.9", "ICD10CMX//I10", "I11.9", "SNOMED/1"]
    events = {name: (values * 2)[: len(codes)] for name, values in EVENTS.items()} | {"code": codes}
    events |= {"time": [datetime.datetime(2020, 1, 1)] * len(codes)}
    types = [pa.int64(), pa.timestamp("us"), pa.string(), pa.float32()]
    table = pa.table([*events.values()], schema=pa.schema(list(zip(events, types, strict=True))))
    pq.write_table(table, raw / "data" / "0.parquet")
    systems = {"DX:": "ICD10CM", "ICD//": "ICD9CM", "ICD//10": "ICD10CM", "I1": "ICD10CM"}
    counts = run.ingest("meds", str(raw), meds=MedsOptions(systems)).counts
    assert sorted(row["code"] for row in run.rows("diagnoses")) == ["ICD10CM//E11.9", "ICD10CM//I10"]
    assert counts["rows_of_other_codes"] == 2
    assert counts["rejected"] == {"code_malformed": 1}  # 1.9, which is what follows I1
    assert [json.loads(row["raw"])["code"] for row in run.rows("diagnoses_rejected")] == ["I11.9"]
    with pytest.raises(ContractError, match=r"rows_of_other_codes: fewer than 11.*--meds.systems") as refused:
        run.ingest("meds", str(raw), meds=MedsOptions({"ICD-10": "ICD10CM"}))
    assert "empty" not in str(refused.value)
    assert "diagnoses_rejected" not in str(refused.value)


TUVA_CLAIMS = (
    "claim_id,claim_line_number,patient_id,admission_date,discharge_date,claim_start_date,claim_end_date,"
    "bill_type_code,diagnosis_code_type,{}\n"
)


def test_tuva(run, tmp_path, project_root):
    raw = tmp_path / "raw"
    raw.mkdir()
    names = ",".join(f"diagnosis_code_{n}" for n in range(1, 26))
    text = TUVA_CLAIMS.format(names) + "".join(
        f"c,{line},p,,,2020-01-01,2020-01-05,111,icd-10-cm,E119,I10{',' * 23}\n" for line in (1, 2)
    )
    (raw / "medical_claim.csv.gz").write_bytes(gzip.compress(text.encode()))
    (raw / "eligibility.csv.gz").write_bytes(gzip.compress(b"patient_id,birth_date\np,1950-01-01\n"))
    claims = ClaimsOptions(f"{project_root}/configs/sources/tuva.yaml")
    counts = run.ingest("claims", str(raw), claims=claims).counts
    assert {row[-1] for row in _found(run)} == {"ICD10CM//E11.9", "ICD10CM//I10"}
    assert counts["rejected"] == {"repeated_on_line": 2}
    assert sorted(row["column"] for row in run.rows("diagnoses_rejected")) == [
        "diagnosis_code_1",
        "diagnosis_code_2",
    ]
