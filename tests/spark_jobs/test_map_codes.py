import datetime
import logging
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas import applied_maps
from schemas.applied_maps import CATEGORIES, TABLE, AppliedMap, read_code_maps
from schemas.errors import ContractError
from schemas.manifest import Manifest, read_manifest
from schemas.vocabulary import read_vocabulary
from spark_jobs import build_vocabulary
from spark_jobs.build_vocabulary import BuildVocabulary
from spark_jobs.map_codes import MapCodes, main
from tests.spark_jobs.pipeline import Run, write_extract

pytestmark = pytest.mark.spark

GEM = """\
0010  A000    00000
0020  A0100   10000
36570 NoDx    11000
9661  T420X1A 10000
9661  T420X2A 10000
80602 S12000A 10112
80602 S14131A 10111
"""
LINES = [
    "1 2013-01-01 2013-01-01 ICD9_001.0 1 1 1",
    "1 2015-08-30 2015-09-30 ICD9_002.0 1 1 1",
    "1 2015-08-30 2015-09-30 ICD9_966.1 1 2 1",
    "1 2015-09-30 2015-10-01 ICD9_806.02 1 3 1",
    "1 2015-09-30 2015-10-01 ICD10_E11.9 1 1 1",
    "2 2015-12-31 2015-12-31 ICD9_365.70 1 - -",
    "2 2016-10-01 2016-10-01 ICD9_250.00 1 1 1",
]


@pytest.fixture(scope="module")
def diagnoses(spark, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("ingested")
    made = Run(spark, str(folder))
    made.ingest("medbert", write_extract(folder / "x.tsv", *LINES))
    return made.path("diagnoses")


@pytest.fixture
def ingested(run, diagnoses, tmp_path):
    """A run with LINES ingested, and GEM beside it."""
    shutil.copytree(diagnoses, run.path("diagnoses"))
    (tmp_path / "gem.txt").write_text(GEM)
    return run


def _map(run: Run, tmp_path, **options) -> Manifest:
    main(run.spark, MapCodes(run.path("diagnoses"), run.path("diagnoses_mapped"), **options))
    return read_manifest(run.path("diagnoses_mapped"), "diagnoses", verify=True)


def _rows(run: Run) -> list[tuple]:
    manifest = read_manifest(run.path("diagnoses_mapped"), "diagnoses")
    rows = [
        row
        for file in manifest.files
        for row in pq.ParquetFile(f"{run.path('diagnoses_mapped')}/{file.path}").read().to_pylist()
    ]
    return sorted(
        (row["patient_id"], row["discharge_date"], row["order_3"] or 0, row["code"]) for row in rows
    )


def _codes(run: Run) -> list[str]:
    return [row[-1] for row in _rows(run)]


@pytest.mark.parametrize(
    ("policy", "alternatives", "cluster"),
    [
        ("keep", "ICD9CM//966.1", ["ICD9CM//806.02"]),
        ("first", "ICD10CM//T42.0X1A", ["ICD10CM//S12.000A"]),
        ("cluster", "ICD10CM//T42.0X1A", ["ICD10CM//S12.000A", "ICD10CM//S14.131A"]),
    ],
)
def test_a_gem_and_its_report(ingested, tmp_path, policy, alternatives, cluster):
    manifest = _map(ingested, tmp_path, map=str(tmp_path / "gem.txt"), one_to_many=policy)
    assert _codes(ingested) == [
        "ICD10CM//A00.0", "ICD10CM//A01.00", alternatives, "ICD10CM//E11.9", *cluster, "ICD9CM//365.70",
        "ICD9CM//250.00",
    ]  # fmt: skip
    counts = manifest.counts
    assert counts["rows_in"] == 7
    assert counts["rows_out"] == manifest.num_rows == 7 + counts["rows_added"]
    assert counts["rows_added"] == len(cluster) - 1

    def cells(exact=0, approximate=0, ambiguous=0, unmapped=0, other_system=0):
        return {"exact": exact, "approximate": approximate, "ambiguous": ambiguous, "unmapped": unmapped,
                "other_system": other_system}  # fmt: skip

    assert counts["map"] == {
        "all": cells(1, 1, 2, 2, 1),
        "before 2014-Q4": cells(exact=1),
        "2015-Q3": cells(approximate=1, ambiguous=1),
        "2015-Q4": cells(ambiguous=1, unmapped=1, other_system=1),
        "after 2016-Q3": cells(unmapped=1),
    }
    assert manifest.details["mapped_shares"]["map"]["2015-Q3"] == {
        "exact": 0, "approximate": 0.5, "ambiguous": 0.5, "unmapped": 0
    }  # fmt: skip
    assert manifest.inputs["diagnoses"] == ingested.manifest("diagnoses").fingerprint


def test_everything_but_the_code_stays(ingested, tmp_path):
    _map(ingested, tmp_path, map=str(tmp_path / "gem.txt"), one_to_many="cluster")
    day = datetime.date(2015, 10, 1)
    assert [row for row in _rows(ingested) if row[1] == day] == [
        ("1", day, 1, "ICD10CM//E11.9"),
        ("1", day, 3, "ICD10CM//S12.000A"),
        ("1", day, 3, "ICD10CM//S14.131A"),
    ]


def test_later_stages_read_it_as_any_diagnoses(ingested, tmp_path):
    mapped = Run(ingested.spark, str(tmp_path / "mapped"))
    main(ingested.spark, MapCodes(ingested.path("diagnoses"), mapped.path("diagnoses"), roll_up="three"))
    mapped.vocabulary(min_patients=1)
    mapped.sequences(min_codes=1)
    assert mapped.patients()["1"]["codes"][:3] == ["ICD9CM//001", "ICD9CM//002", "ICD9CM//966"]
    assert read_vocabulary(mapped.path("vocabulary")).code_maps == (AppliedMap(CATEGORIES),)
    as_ingested = BuildVocabulary(
        mapped.path("bigger"), ingested.path("diagnoses"), min_patients=1, extend=mapped.path("vocabulary")
    )
    build_vocabulary.main(ingested.spark, as_ingested)
    assert read_vocabulary(mapped.path("bigger")).code_maps == (AppliedMap(CATEGORIES),)


def test_map_then_categories(ingested, tmp_path):
    manifest = _map(ingested, tmp_path, map=str(tmp_path / "gem.txt"), one_to_many="cluster", roll_up="three")
    assert _codes(ingested) == [
        "ICD10CM//A00", "ICD10CM//A01", "ICD10CM//T42", "ICD10CM//E11", "ICD10CM//S12", "ICD10CM//S14",
        "ICD9CM//365", "ICD9CM//250",
    ]  # fmt: skip
    assert sum(manifest.counts["roll_up"]["all"].values()) == 8
    gem = AppliedMap(applied_maps.GEM, "ICD9CM", "ICD10CM", "cluster", manifest.inputs["map"])
    assert read_code_maps(manifest.details, "") == (gem, AppliedMap(CATEGORIES))

    main(ingested.spark, MapCodes(ingested.path("diagnoses_mapped"), ingested.path("twice"), roll_up="three"))
    twice = read_manifest(ingested.path("twice"), "diagnoses")
    assert read_code_maps(twice.details, "") == (gem, AppliedMap(CATEGORIES), AppliedMap(CATEGORIES))


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_roll_up_through_any_table(ingested, tmp_path, form):
    columns = {
        "from": ["0010", "ICD9CM//0020", "966.1", "9661", "ICD10CM//E119"],
        "to": ["1", "1", "243", "242", "49"],
    }
    path = str(tmp_path / f"ccs.{form}")
    if form == "csv":
        with open(path, "w") as file:
            file.write("from,to\n" + "".join(f"{a},{b}\n" for a, b in zip(*columns.values(), strict=True)))
    else:
        pq.write_table(pa.table(columns), path)
    options = {"roll_up": path, "roll_up_from": "ICD-9-CM", "roll_up_to": "CCS"}
    manifest = _map(ingested, tmp_path, **options, one_to_many="first")
    table = AppliedMap(TABLE, "ICD9CM", "CCS", "first", manifest.inputs["roll_up"])
    assert read_code_maps(manifest.details, "") == (table,)
    assert _codes(ingested) == [
        "CCS//1", "CCS//1", "CCS//242", "CCS//49", "ICD9CM//806.02", "ICD9CM//365.70", "ICD9CM//250.00",
    ]  # fmt: skip
    assert manifest.counts["roll_up"]["all"] == {
        "exact": 3, "approximate": 0, "ambiguous": 1, "unmapped": 3, "other_system": 0
    }  # fmt: skip
    assert _map(ingested, tmp_path, **options, one_to_many="cluster").counts["rows_added"] == 1


def test_the_log_has_no_small_cell(ingested, tmp_path, caplog):
    lines = [f"{n} 2015-09-01 2015-09-02 ICD9_001.0 1 1 1" for n in range(11)]
    ingested.ingest("medbert", write_extract(tmp_path / "x.tsv", *lines, *LINES))
    with caplog.at_level(logging.INFO, "spark_jobs"):
        _map(ingested, tmp_path, map=str(tmp_path / "gem.txt"))
    few = "fewer than 11"
    assert [record.getMessage() for record in caplog.records] == [
        f"map, all: rows about 20: exact about 11, approximate {few}, ambiguous {few}, unmapped {few}, "
        f"other_system {few}",
        f"map, 2015-Q3: rows about 11: exact about 11, approximate {few}, ambiguous {few}, unmapped no, "
        "other_system no",
        f"published {ingested.path('diagnoses_mapped')}: about 20 rows in 1 files; rows_in: about 20; "
        "rows_out: about 20",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "neither a map nor a roll-up"),
        ({"map": "gem.txt", "one_to_many": "all"}, "keep, first, cluster"),
        ({"map": "none.txt"}, "does not exist.*--map"),
        ({"roll_up": "none.csv"}, "does not exist.*--roll_up"),
        ({"roll_up": "bad.csv", "roll_up_to": "CCS"}, "row 2: .*the code is empty"),
        ({"roll_up": "short.csv"}, "has the columns from\\..*from and to"),
        ({"roll_up": "good.csv"}, "names no code system.*--roll_up_to"),
        ({"roll_up": "good.csv", "roll_up_from": "ICD9CM", "roll_up_to": "CCS"}, "form of ICD9CM"),
        ({"map": "bad.txt"}, "line 8"),
        ({"roll_up": "dots.csv", "roll_up_from": "ICD-9", "roll_up_to": "CCS"}, "row 2: '38.9' .*ICD9CM"),
        ({"roll_up": "words.csv", "roll_up_to": "CCS"}, "row 1: 'nan' .*stands for a missing"),
        ({"roll_up": "commas.csv", "roll_up_to": "CCS"}, "row 2 has 3 fields"),
        ({"roll_up": "twice.csv", "roll_up_to": "CCS"}, "has the columns from, to, to.*each once"),
        ({"roll_up": "latin.csv", "roll_up_to": "CCS"}, "line 2 is not text in UTF-8"),
        ({"roll_up": "bad.parquet", "roll_up_to": "CCS"}, "cannot be read as Parquet"),
        ({"roll_up": "folder", "roll_up_to": "CCS"}, "cannot be read as Parquet"),
        ({"map": "folder"}, "is a folder.*--map"),
    ],
)
def test_a_user_s_mistake(ingested, tmp_path, options, message):
    (tmp_path / "bad.csv").write_text("from,to\nE119,49\nE118,\n")
    (tmp_path / "dots.csv").write_text("from,to\n038.9,2\n38.9,2\n")
    (tmp_path / "words.csv").write_text("from,to\nE119,nan\n")
    (tmp_path / "short.csv").write_text("from\nE119\n")
    (tmp_path / "good.csv").write_text("from,to\nI109,49\n")
    (tmp_path / "bad.txt").write_text(GEM + "oops\n")
    (tmp_path / "commas.csv").write_text("from,to\nE119,49\nE11,9,49\n")
    (tmp_path / "twice.csv").write_text("from,to,to\nE119,49,50\n")
    (tmp_path / "latin.csv").write_bytes("from,to\nE119,é\n".encode("latin-1"))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more PAR1")
    (tmp_path / "folder").mkdir()
    files = {
        name: str(tmp_path / value) if name in ("map", "roll_up") else value
        for name, value in options.items()
    }
    with pytest.raises(ContractError, match=message):
        _map(ingested, tmp_path, **files)


def test_mimic_through_the_gem_of_cms(run, shared, tmp_path):
    run.ingest("omop", f"{shared}/data/mimic_iv_demo_omop", (32821,))
    gem = f"{shared}/data/code_maps/2018_I9gem.txt.gz"
    manifest = _map(run, tmp_path, map=gem, one_to_many="cluster")
    assert manifest.counts["map"]["all"] == {
        "exact": 625, "approximate": 702, "ambiguous": 517, "unmapped": 8, "other_system": 1981
    }  # fmt: skip
    assert (manifest.counts["rows_in"], manifest.counts["rows_added"]) == (3833, 25)
    assert sum(code.startswith("ICD9CM//") for code in _codes(run)) == 8
