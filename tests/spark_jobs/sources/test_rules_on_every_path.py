"""A rule of a column map means the same for a table in every format and with every type."""

import datetime

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from schemas.errors import ContractError
from spark_jobs.sources.claims import ClaimsOptions

pytestmark = pytest.mark.spark

MAP = """\
patient: pid
claim: clm
admit: [adm]
discharge: [dis, adm]
system: {column: version, values: {'9': ICD9CM, '10': ICD10CM}}
diagnoses: {columns: 'dx_{1..2}'}
birth: {column: born}
inpatient: {column: bill, values: ['11']}
status: {column: kind, reversed: ['3'], original: other}
missing: ['9999-12-31', '1900-01-01', '?', '-9']
repairs: [{pattern: '^0(?=E)', replacement: ''}]
"""
ROWS = {
    "pid": [1, 1, 2, 3, 4, -9],
    "clm": [10, 11, 0, 13, 14, 15],
    "adm": ["2010-01-01", "2010-01-05", "2010-02-01", "2010-02-01", "2010-02-01", "2010-02-01"],
    "dis": ["9999-12-31", "2010-01-20", "2010-02-03", "1900-01-01", "2010-02-03", "2010-02-03"],
    "version": [10, 9, 10, 10, -9, 10],
    "dx_1": ["0E119", "25000", "?", "I10", "I10", "I10"],
    "dx_2": ["?", "4019", "I10", "", "", ""],
    "born": ["1950-01-01", "9999-12-31", "1900-01-01", "2015-01-01", "1950-01-01", "1950-01-01"],
    "bill": [11, 11, 13, 11, 11, 11],
    "kind": [1, 1, 1, 1, 1, 1],
    "other": [-9, -9, -9, -9, -9, -9],
}
NUMBERS, DAYS = ("pid", "clm", "version", "bill", "kind", "other"), ("adm", "dis", "born")
EXPECTED = [
    ("1", "10", "2010-01-01", "2010-01-01", "ICD10CM//E11.9"),
    ("1", "11", "2010-01-05", "2010-01-20", "ICD9CM//250.00"),
    ("1", "11", "2010-01-05", "2010-01-20", "ICD9CM//401.9"),
    ("2", None, "2010-02-01", "2010-02-01", "ICD10CM//I10"),
]
COUNTS = {"discharge_date_fallback": 1, "outpatient_one_day": 1, "codes_repaired": 1}
REASONS = {"code_missing": 1, "before_birth": 1, "code_system_unknown": 1, "patient_missing": 1}
# How the table is stored, by name: the types of its numbers, its dates and its text.
PATHS = {
    "text": (pa.string(), pa.string(), pa.string()),
    "large text": (pa.large_string(), pa.large_string(), pa.large_string()),
    "dictionary": (pa.string(), pa.string(), pa.dictionary(pa.int32(), pa.string())),
    "dates": (pa.int64(), pa.date32(), pa.string()),
    "floats": (pa.float64(), pa.date32(), pa.string()),
    "small numbers": (pa.int16(), pa.timestamp("ms"), pa.string()),
    "time stamps": (pa.int32(), pa.timestamp("us"), pa.large_string()),
    "time stamps with a zone": (pa.decimal128(19, 0), pa.timestamp("us", "UTC"), pa.string()),
    "one date is text": (pa.decimal128(20, 1), None, pa.string()),
}


def _table(numbers, dates, text) -> pa.Table:
    def column(name: str, values: list) -> pa.Array:
        if name in NUMBERS:
            return pa.array(values, pa.int64()).cast(numbers)
        if name not in DAYS:
            return pa.array(values, pa.string()).cast(text)
        days = pa.array([datetime.date.fromisoformat(value) for value in values])
        if dates is None:
            return days.cast(pa.string()) if name == "dis" else days
        return days.cast(pa.timestamp("s")).cast(dates) if pa.types.is_timestamp(dates) else days.cast(dates)

    return pa.table({name: column(name, values) for name, values in ROWS.items()})


def _ingested(run, tmp_path, columns: str, table: pa.Table, as_csv: bool = False):
    raw = tmp_path / ("raw.csv" if as_csv else "raw.parquet")
    pyarrow.csv.write_csv(table, raw) if as_csv else pq.write_table(table, raw)
    (tmp_path / "map.yaml").write_text(columns)
    return run.ingest("claims", str(raw), claims=ClaimsOptions(str(tmp_path / "map.yaml")))


def _stays(run) -> list[tuple]:
    stays = (
        (r["patient_id"], r["visit_id"], str(r["admit_date"]), str(r["discharge_date"]), r["code"])
        for r in run.rows("diagnoses")
    )
    return sorted(stays, key=str)


@pytest.mark.parametrize(
    ("path", "as_csv"),
    [*((path, False) for path in PATHS), *((path, True) for path in ("text", "floats", "time stamps"))],
)
def test_all_rules_on_each_path(run, tmp_path, path, as_csv):
    table = _table(*PATHS[path])
    counts = _ingested(run, tmp_path, MAP, table, as_csv).counts
    assert _stays(run) == EXPECTED
    assert {name: counts[name] for name in COUNTS} == COUNTS
    assert counts["rejected"] == REASONS


FORMATS = {
    "dd-MMM-yyyy": lambda day: day.strftime("%d-%b-%Y").upper(),
    "ddMMMyyyy": lambda day: day.strftime("%d%b%Y").upper(),
    "yyyyMMdd": lambda day: int(day.strftime("%Y%m%d")),
    "MM/dd/yyyy": lambda day: day.strftime("%m/%d/%Y"),
    "days since 1960-01-01": lambda day: (day - datetime.date(1960, 1, 1)).days,
    "days since 1899-12-30": lambda day: (day - datetime.date(1899, 12, 30)).days,
    "seconds since 1960-01-01": lambda day: (day - datetime.date(1960, 1, 1)).days * 86_400 + 86_399,
}
DATED = """\
patient: pid
admit: [adm]
discharge: [dis]
system: {{constant: ICD10CM}}
diagnoses: {{columns: dx}}
missing: ['9999-12-31']
birth: {{column: born}}
date_format: {}
"""


AS_KINDS = {"text": str, "float text": lambda n: f"{n}.0", "number": int, "float": float}


@pytest.mark.parametrize(
    ("date_format", "kind"),
    [
        *((date_format, "text") for date_format in FORMATS),
        *(("days since 1960-01-01", kind) for kind in ("float text", "number", "float")),
        *(("yyyyMMdd", kind) for kind in ("float text", "number")),
    ],
)
def test_dates_in_the_map_s_form(run, tmp_path, date_format, kind):
    day = datetime.date.fromisoformat
    spelt = FORMATS[date_format]
    columns = {
        "adm": [spelt(day(text)) for text in ("2016-01-15", "1959-12-31", "2016-01-15")],
        "dis": [spelt(day(text)) for text in ("2016-02-01", "1960-01-02", "9999-12-31")],
        "born": [spelt(day("1950-03-01"))] * 3,
    }
    columns = {name: [AS_KINDS[kind](n) for n in values] for name, values in columns.items()}
    table = pa.table({"pid": ["a", "b", "c"], "dx": ["I10"] * 3, **columns})
    counts = _ingested(run, tmp_path, DATED.format(date_format), table).counts
    assert _stays(run) == [
        ("a", None, "2016-01-15", "2016-02-01", "ICD10CM//I10"),
        ("b", None, "1959-12-31", "1960-01-02", "ICD10CM//I10"),
    ]
    assert counts["rejected"] == {"discharge_date_missing": 1}


@pytest.mark.parametrize(
    "date_format", ["days since 1960", "days since 1960-13-01", "weeks since 1960-01-01"]
)
def test_forms_of_dates_that_are_none(run, tmp_path, date_format):
    with pytest.raises(ContractError, match="date_format"):
        _ingested(run, tmp_path, DATED.format(date_format), pa.table({"pid": ["a"]}))


def test_numbers_beyond_the_calendar_are_no_dates(run, tmp_path):
    days = ["9" * 18, "-9999999", "1e+30", "12.5", "20000"]
    table = pa.table({"pid": ["a"] * 5, "dx": ["I10"] * 5, "adm": days, "dis": days, "born": ["0"] * 5})
    counts = _ingested(run, tmp_path, DATED.format("days since 1960-01-01"), table).counts
    assert counts["rejected"] == {"admit_date_unreadable": 4}
    assert counts["rows_out"] == 1


HEADER = """\
patient: pid
claim: clm
header: {table: headers.csv, on: [clm]}
admit: [adm]
discharge: [adm]
system: {constant: ICD10CM}
diagnoses: {columns: dx}
"""


def test_a_header_is_one_of_the_line_s_patient(run, tmp_path):
    """Its key may be a float in one of the two tables."""
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "headers.csv").write_text("pid,clm,adm\na,1,2010-01-01\nb,1,2011-01-01\nc,2,2012-01-01\n")
    (folder / "lines.csv").write_text("pid,clm,dx\na,1.0,I10\nb,1.0,I10\na,2.0,I10\n")
    (tmp_path / "map.yaml").write_text("table: lines.csv\n" + HEADER)
    counts = run.ingest("claims", str(folder), claims=ClaimsOptions(str(tmp_path / "map.yaml"))).counts
    assert [stay[:3] for stay in _stays(run)] == [("a", "1", "2010-01-01"), ("b", "1", "2011-01-01")]
    assert counts["rejected"] == {"admit_date_missing": 1}


@pytest.mark.parametrize("name", ["claims.csv", "claims.parquet"])
def test_the_field_case_of_missing_dates(run, shared, name):
    folder = f"{shared}/cases/data/G_missing_values_of_date_columns"
    counts = run.ingest("claims", f"{folder}/{name}", claims=ClaimsOptions(f"{folder}/map.yaml")).counts
    assert _stays(run) == [
        ("a", None, "2010-01-01", "2010-01-01", "ICD10CM//E11.9"),
        ("b", None, "2010-02-01", "2010-02-03", "ICD10CM//I10"),
    ]
    assert counts["discharge_date_fallback"] == 1


def test_ids_of_text_columns_that_hold_floats(run, tmp_path):
    """By workers that read the files themselves, and through Spark."""
    columns = {
        "pid": ["7", "7.0", "7.0E0", "007", "7.5", None, "A.1"],
        "clm": ["1", "1.0", "0.0", "0", "1", "1", "1.5"],
        "dx": ["I10", "E119", "I10", "I10", "I10", "I10", "I10"],
    }
    days = pa.array([datetime.date(2010, 1, 1)] * 7)
    table = pa.table(
        {name: pa.array(values, pa.string()) for name, values in columns.items()} | {"adm": days}
    )
    text = HEADER.replace("header: {table: headers.csv, on: [clm]}\n", "")
    by_reader = []
    for further in ("", "missing: ['?']\n"):
        counts = _ingested(run, tmp_path, text + further, table).counts
        by_reader.append((_stays(run), counts["rejected"]))
        assert counts["rows_out"] == 4
    assert by_reader[0] == by_reader[1]
    assert [(*stay[:2], stay[-1]) for stay in by_reader[0][0]] == [
        ("007", None, "ICD10CM//I10"), ("7", "1", "ICD10CM//E11.9"), ("7", "1", "ICD10CM//I10"),
        ("7", None, "ICD10CM//I10"),
    ]  # fmt: skip
    assert by_reader[0][1] == {"patient_unreadable": 1, "visit_unreadable": 1, "patient_missing": 1}
