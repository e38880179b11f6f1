"""All stages in one program make what they make one by one."""

import pickle
from dataclasses import replace

import pytest

from schemas.errors import ContractError
from spark_jobs import build_vocabulary, preprocess, write_shards
from spark_jobs.build_sequences import BuildSequences
from spark_jobs.build_vocabulary import BuildVocabulary
from spark_jobs.ingest_options import IngestClaims
from spark_jobs.write_shards import WriteShards
from tests.spark_jobs.pipeline import Run, write_extract

pytestmark = pytest.mark.spark

LINES = [
    f"{patient} 2014-0{month}-01 2014-0{month}-05 ICD10_C{10 + patient % 7 + month} 1 1 1"
    for patient in range(60)
    for month in range(1, 5)
]
FOLDERS = ("diagnoses", "diagnoses_rejected", "vocabulary", "sequences", "shards/train")


def config_of(run: Run, raw: str, **ingest) -> preprocess.Preprocess:
    diagnoses, vocabulary, sequences = map(run.path, ("diagnoses", "vocabulary", "sequences"))
    return preprocess.Preprocess(
        IngestClaims("medbert", raw, diagnoses, **ingest),
        BuildVocabulary(vocabulary, diagnoses, min_patients=2),
        BuildSequences(diagnoses, vocabulary, sequences, min_codes=1),
        WriteShards(sequences, vocabulary, run.path("shards")),
    )


def test_equal_to_the_stages_one_by_one(run, tmp_path):
    raw = write_extract(tmp_path / "extract.tsv", *LINES, "1 2014-09-01 2014-08-01 ICD10_C11 1 1 1")
    run.ingest("medbert", raw)
    run.vocabulary(min_patients=2)
    run.sequences()
    config = config_of(run, raw)
    write_shards.main(run.spark, config.shards)
    together = Run(run.spark, str(tmp_path / "together"))
    preprocess.main(run.spark, config_of(together, raw))
    for folder in FOLDERS:
        assert together.manifest(folder).fingerprint == run.manifest(folder).fingerprint, folder
    assert together.manifest("shards/train").counts["patients"] > 0


def test_does_not_follow_without_end(run, tmp_path):
    with pytest.raises(ContractError, match=r"ingest.follow is \[10 minutes\]"):
        preprocess.main(run.spark, config_of(run, str(tmp_path), follow="10 minutes"))


@pytest.mark.parametrize(
    ("stage", "options", "rule"),
    [
        ("sequences", {"refresh": True}, "claims are not followed"),
        ("vocabulary", {"types": "x.types", "diagnoses": None}, "imported once, before"),
    ],
)
def test_no_option_of_a_stage_goes_unheard(run, tmp_path, stage, options, rule):
    config = config_of(run, str(tmp_path), follow="now" if stage == "vocabulary" else None)
    config = replace(config, **{stage: replace(getattr(config, stage), **options)})
    with pytest.raises(ContractError, match=rule):
        preprocess.main(run.spark, config)


def test_an_imported_vocabulary_grows_with_the_claims_that_are_followed(run, tmp_path):
    (tmp_path / "landing").mkdir()
    write_extract(tmp_path / "landing" / "x.tsv", *LINES)
    (tmp_path / "old.types").write_bytes(pickle.dumps({"empty_pad": 0, "ICD10_C11": 1}))
    config = config_of(run, str(tmp_path / "landing"), follow="now", settle="0")
    build_vocabulary.main(
        run.spark, BuildVocabulary(config.vocabulary.output, types=str(tmp_path / "old.types"))
    )
    with open(f"{config.vocabulary.output}/vocab.txt") as stream:
        before = stream.read().splitlines()
    preprocess.main(run.spark, config)
    with open(f"{config.vocabulary.output}/vocab.txt") as stream:
        after = stream.read().splitlines()
    assert after[: len(before)] == before and len(after) > len(before) > 0
    assert run.manifest("sequences").num_rows == 60


def test_a_subset_of_the_patients(spark, run, tmp_path):
    raw = write_extract(tmp_path / "extract.tsv", *LINES)
    preprocess.main(spark, config_of(run, raw, max_patients=12))
    assert run.manifest("sequences").num_rows == 12
    counts = run.manifest("diagnoses").counts
    assert (counts["rows_in"], counts["rows_of_patients_left_out"]) == (12 * 4, 48 * 4)
