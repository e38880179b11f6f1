import logging
import pickle

import pyarrow.parquet as pq
import pytest

from schemas.errors import ContractError
from schemas.vocabulary import MEDBERT_SPECIAL_TOKENS, STANDARD_SPECIAL_TOKENS, read_vocabulary
from spark_jobs import build_vocabulary
from spark_jobs.build_vocabulary import BuildVocabulary
from tests.spark_jobs.pipeline import write_extract
from tests.spark_jobs.reference import split_of

pytestmark = pytest.mark.spark

SALT = "medbert-lake"
TRAIN = [str(n) for n in range(200) if split_of(SALT, str(n)) == "train"]
TEST = [str(n) for n in range(200) if split_of(SALT, str(n)) == "test"]


def _line(patient, code, day=1):
    return f"{patient} 2014-03-0{day} 2014-03-0{day} {code} 1 1 1"


@pytest.fixture
def ingested(run, tmp_path):
    """E11.9: 3 training patients, 4 rows; I10, 250.00: 2 each; C50: 1, and 2 test patients; C25: 1 test."""
    lines = [
        *(_line(patient, "ICD10_E119") for patient in TRAIN[:3]),
        _line(TRAIN[0], "ICD10_E11.9", day=2),
        *(_line(patient, code) for patient in TRAIN[3:5] for code in ("ICD10_I10", "ICD9_25000")),
        _line(TRAIN[5], "ICD10_C50"),
        *(_line(patient, "ICD10_C50") for patient in TEST[:2]),
        _line(TEST[0], "ICD10_C25"),
    ]
    run.ingest("medbert", write_extract(tmp_path / "x.tsv", *lines))
    return run


def test_codes_are_counted_over_the_training_split(ingested):
    manifest = ingested.vocabulary(min_patients=2)
    table = pq.read_table(f"{ingested.path('vocabulary')}/vocabulary.parquet").to_pylist()
    assert [tuple(row.values()) for row in table] == [
        (0, "[PAD]", 0, 0), (1, "[UNK]", 0, 0), (2, "[CLS]", 0, 0), (3, "[MASK]", 0, 0),
        (4, "ICD10CM//E11.9", 3, 4), (5, "ICD10CM//I10", 2, 2), (6, "ICD9CM//250.00", 2, 2),
    ]  # fmt: skip
    vocabulary = read_vocabulary(ingested.path("vocabulary"))
    assert vocabulary.tokens == tuple(row["token"] for row in table)
    assert vocabulary.special == STANDARD_SPECIAL_TOKENS
    assert manifest.details["min_patients"] == 2
    assert manifest.parameters == {"min_patients": 2, "split_salt": SALT}
    assert manifest.counts["codes"] == 3
    assert manifest.counts["codes_dropped"] == 1
    assert manifest.counts["rows_of_codes_dropped"] == 1


def test_no_minimum_numbers_the_other_splits_codes_too_after_all_others(ingested):
    ingested.vocabulary(min_patients=1)
    table = pq.read_table(f"{ingested.path('vocabulary')}/vocabulary.parquet").to_pylist()
    assert [(row["token"], row["num_patients"]) for row in table[-2:]] == [
        ("ICD10CM//C50", 1),
        ("ICD10CM//C25", 0),
    ]


def test_bytes_do_not_depend_on_order_files_or_partitions(ingested, run, tmp_path):
    first = ingested.vocabulary(min_patients=1).files
    lines = (tmp_path / "x.tsv").read_text().splitlines()
    (tmp_path / "many").mkdir()
    for n in range(3):
        part = [lines[0], *lines[1:][::-1][n::3]]
        (tmp_path / "many" / f"{n}.tsv").write_text("\n".join(part) + "\n")
    run.ingest("medbert", str(tmp_path / "many"), num_partitions=3)
    assert len(run.manifest("diagnoses").files) > 1
    assert run.vocabulary(min_patients=1).files == first


@pytest.mark.parametrize("patients", [TEST[:1], [TRAIN[0], *TEST[:5]]])
def test_partitions_without_a_training_patient_count_nothing(run, tmp_path, patients):
    lines = [_line(patient, "ICD10_I10") for patient in patients]
    run.ingest("medbert", write_extract(tmp_path / "x.tsv", *lines), num_partitions=8)
    found = len(set(patients) & set(TRAIN))
    with pytest.raises(ContractError, match=rf"none of {found} codes.*another --split_salt"):
        run.vocabulary(min_patients=11)
    assert run.vocabulary(min_patients=1).counts["rows_of_training_split"] == found


def test_a_low_minimum_warns_of_the_small_cell_rule(ingested, caplog):
    with caplog.at_level(logging.WARNING):
        ingested.vocabulary(min_patients=2)
    assert "small-cell rule" in caplog.text


def test_an_empty_vocabulary_says_what_to_do_and_publishes_nothing(ingested, tmp_path):
    with pytest.raises(ContractError, match=r"none of 4 codes.*MIN_PATIENTS"):
        ingested.vocabulary(min_patients=11)
    assert not (tmp_path / "run" / "vocabulary" / "manifest.json").exists()


def test_unfinished_or_damaged_diagnoses_are_refused(ingested, tmp_path):
    part = tmp_path / "run" / "diagnoses" / "part-00000.parquet"
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(ContractError, match="not the file that was published"):
        ingested.vocabulary()
    (tmp_path / "run" / "diagnoses" / "manifest.json").unlink()
    with pytest.raises(ContractError, match=r"has no manifest\.json"):
        ingested.vocabulary()


def test_import_and_export_of_types(spark, tmp_path):
    types = {"empty_pad": 0, "ICD10_C50": 1, "ICD9_250.00": 2, "ICD10_c50": 3}
    (tmp_path / "x.types").write_bytes(pickle.dumps(types, protocol=2))
    config = BuildVocabulary(
        str(tmp_path / "v"), types=str(tmp_path / "x.types"), export_types=str(tmp_path / "y.types")
    )
    build_vocabulary.main(spark, config)
    vocabulary = read_vocabulary(str(tmp_path / "v"))
    assert vocabulary.tokens == ("[PAD]", "ICD10CM//C50", "ICD9CM//250.00", "[MERGED_3]")
    assert vocabulary.special == MEDBERT_SPECIAL_TOKENS
    exported = pickle.loads((tmp_path / "y.types").read_bytes())
    assert exported == {"empty_pad": 0, "ICD10_C50": 1, "ICD9_250.00": 2, "[MERGED_3]": 3}


def test_an_exported_file_within_the_folder_stays_there(ingested, tmp_path):
    types = f"{ingested.path('vocabulary')}/x.types"
    ingested.vocabulary(min_patients=2, export_types=types)
    ingested.vocabulary(min_patients=3, extend=ingested.path("vocabulary"), export_types=types)
    assert len(pickle.loads((tmp_path / "run" / "vocabulary" / "x.types").read_bytes())) == 7


def test_an_extension_that_has_nothing_to_do_is_exported_all_the_same(ingested, tmp_path):
    first = ingested.vocabulary(min_patients=2)
    types = tmp_path / "x.types"
    ingested.vocabulary(min_patients=2, extend=ingested.path("vocabulary"), export_types=str(types))
    assert ingested.manifest("vocabulary") == first
    assert len(pickle.loads(types.read_bytes())) == 7


def test_a_pickle_that_calls_something_is_refused(spark, tmp_path):
    (tmp_path / "x.types").write_bytes(b"cposix\nsystem\n(S'touch /tmp/owned'\ntR.")
    with pytest.raises(ContractError, match="pickle instruction GLOBAL"):
        build_vocabulary.main(spark, BuildVocabulary(str(tmp_path / "v"), types=str(tmp_path / "x.types")))
    assert not (tmp_path / "v" / "manifest.json").exists()


@pytest.mark.parametrize(
    "options", [{}, {"diagnoses": "a", "types": "b"}, {"diagnoses": "a", "min_patients": 0}]
)
def test_options_that_contradict(spark, options):
    with pytest.raises(ContractError):
        build_vocabulary.main(spark, BuildVocabulary("out", **options))
