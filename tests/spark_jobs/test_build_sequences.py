import datetime
import pickle

import pyarrow.parquet as pq
import pytest

from schemas.errors import ContractError
from schemas.sequences import SEQUENCES
from spark_jobs import build_vocabulary
from tests.spark_jobs.pipeline import write_extract
from tests.spark_jobs.reference import split_of

pytestmark = pytest.mark.spark

SALT = "medbert-lake"
TRAIN = [str(n) for n in range(100) if split_of(SALT, str(n)) == "train"]


def _lines(patient, *codes, day=1):
    return [f"{patient} 2014-03-0{day} 2014-03-0{day} ICD10_{code} {n} 1 1" for n, code in enumerate(codes)]


def test_the_example_of_nine_rows(run, shared):
    run.ingest("medbert", f"{shared}/data/medbert_example/data_file.tsv")
    run.vocabulary(min_patients=1)
    manifest = run.sequences(min_codes=1)
    patients = run.patients()
    one, two = patients["1"], patients["2"]
    assert one["codes"] == ["ICD9CM//150.6", "ICD9CM//152.53", "ICD10CM//I15.6", "ICD10CM//C50"]
    assert one["visit_numbers"] == [1, 1, 2, 2]
    assert one["los_days"] == [0, 2]
    assert one["days_to_next_visit"] == [636, 0]
    assert not one["prolonged_los"]
    assert one["visit_admit_dates"] == [datetime.date(2014, 3, 1), datetime.date(2015, 11, 27)]
    assert two["visit_numbers"] == [1, 1, 2, 2, 3]
    assert two["prolonged_los"]  # 12 days
    assert manifest.counts["patients_in"] == 2
    assert sum(manifest.counts["patients"].values()) == 2


def test_rare_codes_are_unknown_once_a_visit_and_counted(run, tmp_path):
    lines = [line for patient in TRAIN[:2] for line in _lines(patient, "E119", "I10")]
    lines += _lines(TRAIN[0], "C50", "E119", "C25", "C50", day=2)
    run.ingest("medbert", write_extract(tmp_path / "x.tsv", *lines))
    run.vocabulary(min_patients=2)
    manifest = run.sequences()
    patient = run.patients()[TRAIN[0]]
    assert patient["codes"] == ["ICD10CM//E11.9", "ICD10CM//I10", "[UNK]", "ICD10CM//E11.9"]
    assert patient["visit_numbers"] == [1, 1, 2, 2]
    assert manifest.counts["rows_of_unknown_codes"] == 3
    assert manifest.counts["codes"] == 6


def test_without_unk_unknown_codes_are_left_out_and_so_are_visits_of_nothing_else(run, tmp_path):
    lines = [*_lines(TRAIN[0], "C50", "E119"), *_lines(TRAIN[0], "C25", day=2), *_lines(TRAIN[1], "C25")]
    run.ingest("medbert", write_extract(tmp_path / "x.tsv", *lines))
    (tmp_path / "x.types").write_bytes(pickle.dumps({"empty_pad": 0, "ICD10_E11.9": 1}))
    build_vocabulary.main(
        run.spark, build_vocabulary.BuildVocabulary(run.path("vocabulary"), types=str(tmp_path / "x.types"))
    )
    manifest = run.sequences()
    assert {patient: row["codes"] for patient, row in run.patients().items()} == {
        TRAIN[0]: ["ICD10CM//E11.9"]
    }
    assert run.patients()[TRAIN[0]]["los_days"] == [0]
    assert manifest.counts["rows_of_unknown_codes"] == 3
    assert manifest.counts["patients_in"] == 2
    assert manifest.counts["patients_with_too_few_codes"] == 1


def test_patients_with_few_codes_are_left_out_and_counted(run, tmp_path):
    lines = _lines("1", "E119", "I10", "C50", "E119") + _lines("2", "E119", "I10", "C50", "C25")
    run.ingest("medbert", write_extract(tmp_path / "x.tsv", *lines))
    run.vocabulary()
    manifest = run.sequences(min_codes=4)
    assert list(run.patients()) == ["2"]  # patient 1 has 3 codes: one stands twice in the visit
    assert manifest.counts["patients_with_too_few_codes"] == 1
    with pytest.raises(ContractError, match=r"none of 2 patients.*MIN_CODES.*MIN_PATIENTS"):
        run.sequences(min_codes=5)
    with pytest.raises(ContractError, match="has no manifest"):
        run.manifest("sequences")


@pytest.fixture
def crowd(run, tmp_path):
    lines = [
        line
        for patient in range(60)
        for day in (1, 2)
        for line in _lines(patient, "E119", "I10", f"C{10 + patient % 7}", day=day)
    ]
    run.ingest("medbert", write_extract(tmp_path / "x.tsv", *lines))
    run.vocabulary()
    return run


def test_columns_splits_and_order_in_files(crowd):
    manifest = crowd.sequences(num_partitions=2)
    assert [file.path for file in manifest.files] == [
        f"split={split}/part-0000{n}.parquet" for split in ("test", "train", "valid") for n in (0, 1)
    ]
    patients = 0
    for file in manifest.files:
        table = pq.ParquetFile(f"{crowd.path('sequences')}/{file.path}").read()
        assert table.column_names == list(SEQUENCES.column_names)
        ids = table["patient_id"].to_pylist()
        assert ids == sorted(ids)
        assert {split_of(SALT, patient) for patient in ids} <= {
            file.path.split("/")[0].removeprefix("split=")
        }
        patients += len(ids)
    assert patients == 60 == sum(manifest.counts["patients"].values())
    assert manifest.counts["rows_in"] == 360 == manifest.counts["codes"]
    assert manifest.parameters["split_salt"] == SALT


def test_a_second_run_and_other_input_files_give_the_same_bytes(crowd, tmp_path):
    first, ingested = crowd.sequences(), crowd.manifest("diagnoses")
    assert crowd.ingest("medbert", str(tmp_path / "x.tsv")).fingerprint == ingested.fingerprint
    assert crowd.sequences().fingerprint == first.fingerprint
    lines = (tmp_path / "x.tsv").read_text().splitlines()
    (tmp_path / "many").mkdir()
    for n in range(3):
        (tmp_path / "many" / f"{n}.tsv").write_text("\n".join([lines[0], *lines[1:][::-1][n::3]]) + "\n")
    crowd.ingest("medbert", str(tmp_path / "many"))
    crowd.vocabulary()
    assert crowd.sequences().files == first.files


def test_the_split_is_the_vocabulary_s(crowd):
    crowd.vocabulary(split_salt="another")
    manifest = crowd.sequences()
    assert manifest.parameters["split_salt"] == "another"
    for file in manifest.files:
        ids = pq.ParquetFile(f"{crowd.path('sequences')}/{file.path}").read()["patient_id"].to_pylist()
        assert {f"split={split_of('another', patient)}" for patient in ids} == {file.path.split("/")[0]}
