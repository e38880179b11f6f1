"""Claims of a payer's own layout, through a column map."""

import json
import os
from collections import Counter

import pytest
from pyspark.sql import functions as F

from schemas.errors import ContractError
from spark_jobs.sources.claims import ClaimsOptions

pytestmark = pytest.mark.spark

WIDE = """\
table: lines.csv
patient: Member
claim: claim
line: line
admit: [admitted, from]
discharge: [discharged, to]
date_format: MM/dd/yyyy
system: {column: version, values: {'9': ICD9CM, ICD-10: ICD10CM}}
diagnoses: {columns: 'dx_{1..2}', repeat_on_lines: true}
status: {column: status, reversed: [V], replacement: [R], superseded: [OLD.*], original: original}
inpatient: {column: bill, values: ['11.']}
birth: {table: members.csv, column: born}
missing: ['?', NA]
drop_duplicate_lines: true
"""
HEADER = "member,claim,line,admitted,discharged,from,to,version,dx_1,dx_2,status,original,bill"
LINES = [
    "p,1,1,01/02/2016,01/05/2016,,,icd-10,E119,I10,A,,111",
    "p,1,2,01/02/2016,01/05/2016,,,icd-10,E11.9,?,A,,111",  # the claim's code again
    "p,1,2,01/02/2016,01/05/2016,,,icd-10,E11.9,?,A,,111",  # the same line again
    "p,2,1,,,02/01/2016,02/28/2016,9,4019,,A,,131",  # a bill for a month
    "p,3,1,03/01/2016,,,03/04/2016,icd-10,I10,,A,,112",
    "p,4,1,03/01/2016,03/04/2016,,,icd-10,I10,,V,3,112",  # takes claim 3 back
    "p,5,1,04/01/2016,04/04/2016,,,icd-10,I10,,A,,112",
    "p,6,1,04/01/2016,04/05/2016,,,icd-10,I11.9,,R,5,112",  # replaces claim 5
    "p,7,1,04/01/2016,04/05/2016,,,icd-10,I11.9,,OLD1,,112",
    "q,5,1,04/01/2016,04/04/2016,,,icd-10,I10,,A,,112",  # another's claim of the same number
    "q,8,1,2016-04-01,04/04/2016,,,icd-10,?,I10,A,,112",  # a date in our own form is a date too
    "q,9,1,01/01/2014,01/01/2014,,,icd-10,I10,,A,,112",  # born in 2015
    "q,10,1,01/01/2017,01/02/2017,,,icd-10,I10,,A,,112",  # after the extract
    "q,11,1,01/05/2016,01/02/2016,,,icd-10,I10,,A,,112",
    "q,12,1,01/05/2016",
]
MEMBERS = "member,born\np,1950\nq,01/01/2015\n"


@pytest.fixture
def ingest(run, tmp_path):
    """ingest(map, files, …): the manifest."""

    def go(columns: str, files: dict[str, str], path: str = "raw", **options):
        (tmp_path / "raw").mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / "raw" / name).write_text(text)
        (tmp_path / "map.yaml").write_text(columns)
        claims = ClaimsOptions(str(tmp_path / "map.yaml"))
        return run.ingest("claims", str(tmp_path / path), claims=claims, **options)

    return go


def _stays(run):
    rows = run.rows("diagnoses")
    return sorted(
        (r["patient_id"], r["visit_id"], str(r["admit_date"]), str(r["discharge_date"]), r["code"])
        for r in rows
    )


def test_every_rule_of_a_wide_map(run, ingest):
    files = {"lines.csv": "\n".join([HEADER, *LINES]) + "\n", "members.csv": MEMBERS}
    manifest = ingest(WIDE, files, as_of="2016-12-31")
    assert _stays(run) == [
        ("p", "1", "2016-01-02", "2016-01-05", "ICD10CM//E11.9"),
        ("p", "1", "2016-01-02", "2016-01-05", "ICD10CM//I10"),
        ("p", "2", "2016-02-01", "2016-02-01", "ICD9CM//401.9"),
        ("p", "6", "2016-04-01", "2016-04-05", "ICD10CM//I11.9"),
        ("q", "5", "2016-04-01", "2016-04-04", "ICD10CM//I10"),
        ("q", "8", "2016-04-01", "2016-04-04", "ICD10CM//I10"),
    ]
    counts = manifest.counts
    assert counts["rejected"] == {
        "row_malformed": 1, "duplicate_line": 1, "repeated_on_line": 1, "claim_reversed": 2,
        "claim_replaced": 2, "before_birth": 1, "in_future": 1, "discharge_before_admit": 1,
        "code_missing": 1,
    }  # fmt: skip
    assert counts["claim_lines_in"] == len(LINES)
    assert counts["rows_in"] == len(LINES) + 2 == counts["rows_out"] + counts["rows_rejected"]
    assert counts["admit_date_fallback"] == 1
    assert counts["discharge_date_fallback"] == 1  # and one of a claim that was taken back
    assert counts["outpatient_one_day"] == 1
    assert counts["same_day_rows"] == 1
    aside = {row["reason"]: json.loads(row["raw"]) for row in run.rows("diagnoses_rejected")}
    assert aside["claim_replaced"]["status"] in ("A", "OLD1")
    assert aside["repeated_on_line"]["diagnosis_column"] == "dx_1"
    assert manifest.parameters["claims"]["table"] == "lines.csv"
    assert manifest.parameters["as_of"] == "2016-12-31"


LONG = """\
table: codes.tsv
patient: patient
claim: claim
visit: stay
header: {table: headers.csv, on: [claim]}
admit: [from]
discharge: [to]
system: {constant: ICD9CM}
diagnoses: {columns: code, order: rank}
repairs: [{pattern: '^(\\d)(?=\\.|$)', replacement: '00$1'}]
status: {column: status, reversed: [void]}
"""
HEADERS = "claim,patient,stay,from,to,status\n1,p,s,2010-01-01,2010-01-09,\n2,p,,2011-01-01,2011-01-02,\n" + (
    "4,p,,2012-01-01,2012-01-02,\n"
)
CODES = "claim\tcode\trank\tline_status\n1\t8\t2\t\n1\t250.00\t1\t\n2\t8.4\t1\t\n3\t8.4\t1\t\n4\t\t1\t\n"


def test_a_long_map_with_headers_and_repaired_codes(run, ingest):
    manifest = ingest(LONG, {"codes.tsv": CODES, "headers.csv": HEADERS})
    found = sorted((r["visit_id"] or "", r["code"], r["order_1"]) for r in run.rows("diagnoses"))
    assert found == [("", "ICD9CM//008.4", 1), ("s", "ICD9CM//008", 2), ("s", "ICD9CM//250.00", 1)]
    # A line without a header is nobody's.
    assert manifest.counts["rejected"] == {"patient_missing": 1, "code_missing": 1}
    assert manifest.counts["codes_repaired"] == 2


SAME_NUMBER = """\
patient: patient
claim: claim
admit: [from]
discharge: [to]
system: {constant: ICD9CM}
diagnoses: {columns: code}
status: {column: kind, reversed: ['1'], replacement: ['2']}
"""


def test_adjustments_under_the_claim_s_own_number(run, ingest):
    lines = ["a,250,0", "a,250,1", "b,4019,0", "b,4011,2", "c,4019,2", "d,250,0"]
    text = "".join(f"p,{line},2010-01-01,2010-01-02\n" for line in lines)
    manifest = ingest(SAME_NUMBER, {"x.csv": "patient,claim,code,kind,from,to\n" + text}, path="raw/x.csv")
    assert sorted((r["visit_id"], r["code"]) for r in run.rows("diagnoses")) == [
        ("b", "ICD9CM//401.1"), ("c", "ICD9CM//401.9"), ("d", "ICD9CM//250"),
    ]  # fmt: skip
    assert manifest.counts["rejected"] == {"claim_reversed": 2, "claim_replaced": 1}


DOTTED = """\
patient: patient.id
claim: claim.id
admit: [from]
discharge: [to]
system: {constant: ICD10CM}
diagnoses: {columns: [dx.1, dx.2]}
missing: [NA]
"""


def test_columns_with_dots_and_columns_that_no_map_names(run, ingest, spark, tmp_path):
    text = "patient.id,claim.id,from,to,dx.1,dx.2,line.amount\np,c,2016-01-01,2016-01-02,E119,I10,3\n"
    ingest(DOTTED, {"x.csv": text})
    expected = _stays(run)
    assert [stay[-1] for stay in expected] == ["ICD10CM//E11.9", "ICD10CM//I10"]
    rows = spark.read.option("header", True).csv(str(tmp_path / "raw"))
    # Spark has no hash for a map.
    rows = rows.withColumn("attributes", F.create_map(F.lit("a"), F.lit("b")))
    rows.write.parquet(str(tmp_path / "parquet"))
    repairs = "repairs: [{pattern: '^0', replacement: ''}]\ndrop_duplicate_lines: true\n"
    for further in ("", repairs):
        (tmp_path / "map.yaml").write_text(DOTTED + further)
        claims = ClaimsOptions(str(tmp_path / "map.yaml"))
        run.ingest("claims", str(tmp_path / "parquet"), claims=claims)
        assert _stays(run) == expected


def test_rows_that_differ_only_in_where_nothing_is_are_not_equal(run, ingest):
    columns = SAME_NUMBER.split("diagnoses")[0] + "diagnoses: {columns: [a, b]}\ndrop_duplicate_lines: true\n"
    lines = "".join(f"p,c,2016-01-01,2016-01-02,{codes}\n" for codes in ("250,", ",250", "250,", "4019,"))
    manifest = ingest(columns, {"x.csv": "patient,claim,from,to,a,b\n" + lines})
    assert manifest.counts["rejected"] == {"duplicate_line": 1, "code_missing": 1}
    assert [stay[-1] for stay in _stays(run)] == ["ICD9CM//250", "ICD9CM//250", "ICD9CM//401.9"]


SYNTHESISED = """\
patient: patient
claim: claim
dates: {order_by: number, length_of_stay: days, base: 2000-01-01, gap_days: 2}
system: {constant: ICD9CM}
diagnoses: {columns: [code]}
missing: ['?']
"""


def test_dates_from_order_and_length_of_stay(run, ingest):
    lines = ["p,b,10,3,250", "p,a,9,0,250", "p,a,9,1,4019", "p,c,11,0,250", "p,d,12,?,250", "p,e,?,1,250"]
    lines += [
        "p,a,9,900,250,EXTRA",
        "q,f,1,2147483647,250",
        "q,g,2,1,250",
        "q,h,99,3652000,250",
        "q,i,100,1,250",
    ]
    ingest(SYNTHESISED, {"x.csv": "\n".join(["patient,claim,number,days,code", *lines]) + "\n"})
    assert _stays(run) == [
        ("p", "a", "2000-01-01", "2000-01-02", "ICD9CM//250"),
        ("p", "a", "2000-01-01", "2000-01-02", "ICD9CM//401.9"),
        ("p", "b", "2000-01-04", "2000-01-07", "ICD9CM//250"),
        ("p", "c", "2000-01-09", "2000-01-09", "ICD9CM//250"),
        ("q", "g", "2000-01-03", "2000-01-04", "ICD9CM//250"),
    ]
    reasons = Counter(row["reason"] for row in run.rows("diagnoses_rejected"))
    assert reasons == {
        "discharge_date_missing": 2, "admit_date_missing": 1, "row_malformed": 1,
        "discharge_date_unreadable": 1, "admit_date_unreadable": 1,
    }  # fmt: skip


def test_a_void_takes_back_what_was_replaced_under_the_same_number(run, ingest):
    lines = ["a,250,0", "a,4019,2", "a,4019,1", "b,250,0"]
    text = "".join(f"p,{line},2010-01-01,2010-01-02\n" for line in lines)
    manifest = ingest(SAME_NUMBER, {"x.csv": "patient,claim,code,kind,from,to\n" + text})
    assert [stay[1] for stay in _stays(run)] == ["b"]
    assert manifest.counts["rejected"] == {"claim_reversed": 3}


REPEATED = """\
patient: patient
claim: claim
line: line
admit: [from]
discharge: [to]
system: {constant: ICD9CM}
diagnoses: {columns: 'dx_{1..3}', repeat_on_lines: true}
repairs: [{pattern: '^8$', replacement: '008'}]
status: {column: kind, reversed: [V]}
"""


def test_a_line_that_cannot_be_split_decides_about_no_other(run, ingest):
    lines = ["c,1,,250,,,EXTRA", "c,2,,250,,", "d,1,,4019,,", "d,2,V,4019,,,EXTRA"]
    text = "".join(f"p,2010-01-01,2010-01-02,{line}\n" for line in lines)
    manifest = ingest(REPEATED, {"x.csv": "patient,from,to,claim,line,kind,dx_1,dx_2,dx_3\n" + text})
    assert [stay[-1] for stay in _stays(run)] == ["ICD9CM//250", "ICD9CM//401.9"]
    assert manifest.counts["rejected"] == {"row_malformed": 2}


def test_codes_that_were_mended_count_once_each_where_they_are_used(run, ingest):
    lines = ["c,1,,8,250,8", "c,2,,8,250,4019", "d,1,,250,,", "e,1,V,8,,"]
    text = "".join(f"p,2010-01-01,2010-01-02,{line}\n" for line in lines)
    files = {"x.csv": "patient,from,to,claim,line,kind,dx_1,dx_2,dx_3\n" + text}
    assert ingest(REPEATED, files).counts["codes_repaired"] == 1
    wide = REPEATED.replace(", repeat_on_lines: true", "")
    assert ingest(wide, files).counts["codes_repaired"] == 3


EVERY_KIND = """\
patient: patient
claim: claim
line: line
admit: [from]
discharge: [to]
system: {columns: 'version_{1..2}', values: {'': ICD9CM, '9': ICD9CM, '0': ICD10CM}}
diagnoses: {columns: 'dx_{1..2}'}
procedures:
  - {columns: 'pcs_{1..2}', system: {column: kind, values: {'0': ICD-10-PCS, '9': ICD9Proc}}}
  - {columns: hcpcs, system: {constant: HCPCS}}
drugs:
  - {columns: ndc, system: {constant: NDC}}
  - {columns: atc, system: {constant: ATC}}
repairs:
  - {pattern: '^(\\d\\d)(?=\\.|$)', replacement: '0$1', system: icd9}
  - {pattern: '[- ]..$', replacement: '', system: HCPCS}
"""
KINDS = "patient,from,to,claim,line,dx_1,version_1,dx_2,version_2,pcs_1,pcs_2,kind,hcpcs,ndc,atc"
OF_EVERY_KIND = [
    "c,1,E8791,0,E8791,9,0SRD0J9,nan,0,99213-25,0093-1015-10,a10ba02",
    "c,2,25000,,38.9,,7869,99282,9,J1234,0093101510,",
    "d,1,E119,ICD-10,E119,2,0SRD0J9,,1,NULL,123,A1",
]


@pytest.mark.parametrize("rule", ["", "{columns: 'dx_{1..2}', repeat_on_lines: true}"])
def test_codes_of_every_kind_each_in_its_own_system(run, ingest, rule):
    columns = EVERY_KIND.replace("{columns: 'dx_{1..2}'}", rule) if rule else EVERY_KIND
    text = "".join(f"p,2010-01-01,2010-01-02,{line}\n" for line in OF_EVERY_KIND)
    manifest = ingest(columns, {"x.csv": f"{KINDS}\n{text}"})
    assert sorted((r["visit_id"], r["code"], r["order_1"]) for r in run.rows("diagnoses")) == [
        ("c", "ATC//A10BA02", 7),
        ("c", "HCPCS//99213", 5),
        ("c", "HCPCS//J1234", 5),
        ("c", "ICD10CM//E87.91", 1),
        ("c", "ICD10PCS//0SRD0J9", 3),
        ("c", "ICD9CM//038.9", 2),
        ("c", "ICD9CM//250.00", 1),
        ("c", "ICD9CM//E879.1", 2),
        ("c", "ICD9PROC//78.69", 3),
        ("c", "NDC//00093101510", 6),
        ("d", "ICD10CM//E11.9", 1),
    ]
    assert manifest.counts["rejected"] == {"code_system_unknown": 2, "code_malformed": 4}
    assert manifest.counts["codes_repaired"] == 2
    assert manifest.counts["rows_in"] == 17
    columns = Counter(
        (row["reason"], json.loads(row["raw"])["diagnosis_column"]) for row in run.rows("diagnoses_rejected")
    )
    assert columns == {
        ("code_system_unknown", "dx_2"): 1, ("code_system_unknown", "pcs_1"): 1,
        ("code_malformed", "pcs_2"): 1, ("code_malformed", "ndc"): 2, ("code_malformed", "atc"): 1,
    }  # fmt: skip


def test_a_column_of_several_values_is_refused(run, ingest, spark, tmp_path):
    columns = ["patient", "claim", "code", "kind", "from", "to"]
    rows = spark.createDataFrame([("p", "c", "250", "0", "2010-01-01", "2010-01-02")], columns)
    rows.withColumn("code", F.array("code")).write.parquet(str(tmp_path / "raw" / "parquet"))
    with pytest.raises(ContractError, match=r"column code of table .* is of type array"):
        ingest(SAME_NUMBER, {}, path="raw/parquet")


def test_columns_and_tables_that_are_not_there(run, ingest, tmp_path):
    with pytest.raises(
        ContractError,
        match=r"has no column number, days \(it has 3 columns, patient, claim, code among them\)",
    ):
        ingest(SYNTHESISED, {"x.csv": "patient,claim,code\n"})
    claims = ClaimsOptions(str(tmp_path / "map.yaml"))
    (tmp_path / "map.yaml").write_text(LONG.replace("codes.tsv", "x.csv"))
    (tmp_path / "raw" / "x.csv").write_text("claim,code,rank\n1,2,3\n")
    with pytest.raises(ContractError, match=r"has no headers\.csv"):
        run.ingest("claims", str(tmp_path / "raw"), claims=claims)
    with pytest.raises(ContractError, match="as_of is today"):
        run.ingest("claims", str(tmp_path / "raw"), as_of="today")


def test_the_tuva_demo_claims(run, shared, project_root):
    claims = ClaimsOptions(os.path.join(project_root, "configs/sources/tuva.yaml"))
    manifest = run.ingest("claims", os.path.join(shared, "data/tuva_demo_claims"), claims=claims)
    counts = manifest.counts
    assert counts["claim_lines_in"] == 6_075
    assert counts["rows_in"] == 18_565
    assert counts["rows_out"] == 7_618
    assert counts["rejected"] == {"code_missing": 469, "repeated_on_line": 10_478}
    assert counts["admit_date_fallback"] == counts["discharge_date_fallback"] == 7_618
    assert counts["outpatient_one_day"] == 8


def test_uci_diabetes(run, shared, project_root, tmp_path):
    import zipfile

    with zipfile.ZipFile(os.path.join(shared, "data/uci_diabetes130/dataset_diabetes.zip")) as archive:
        lines = archive.read("dataset_diabetes/diabetic_data.csv").splitlines(keepends=True)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "diabetic_data.csv").write_bytes(b"".join(lines[:20_001]))
    claims = ClaimsOptions(os.path.join(project_root, "configs/sources/uci_diabetes130.yaml"))
    counts = run.ingest("claims", str(tmp_path / "raw"), claims=claims).counts
    assert counts["claims_in"] == 20_000
    assert counts["rows_in"] == counts["rows_out"] + counts["rows_rejected"]
    assert set(counts["rejected"]) <= {"code_missing"}
    assert counts["codes_repaired"] > 0
    longest = max((r["discharge_date"] - r["admit_date"]).days for r in run.rows("diagnoses"))
    assert longest == 14
