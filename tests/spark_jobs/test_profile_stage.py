import json
import os
import shutil

import pytest

from schemas.errors import ContractError
from schemas.profile import read_profile
from schemas.sequences import SPLITS
from spark_jobs import profile_stage
from spark_jobs.generate_claims import GenerateClaims
from spark_jobs.generate_claims import main as generate_claims
from spark_jobs.profile_stage import ProfileStage
from spark_jobs.write_shards import WriteShards
from spark_jobs.write_shards import main as write_shards
from tests.spark_jobs.pipeline import write_extract

pytestmark = pytest.mark.spark

CODES = ("ICD10_E119", "ICD9_4019")
NO_COUNTS = ("mean", "median", "p95", "edges", "format")


def profiled(run, folder, **options):
    profile_stage.main(run.spark, ProfileStage(run.path(folder), run.path(f"profile/{folder}"), **options))
    return read_profile(run.path(f"profile/{folder}"))[0]


def bytes_of(run, folder) -> bytes:
    with open(f"{run.path(f'profile/{folder}')}/profile.json", "rb") as stream:
        return stream.read()


@pytest.fixture
def ingested(run, tmp_path):
    """60 patients with E11.9 and I10 in May 2014, 3 of them with C50 in June, and bad rows."""
    lines = [f"p{n} 2014-05-01 2014-05-0{1 + n % 4} {code} 1 1 1" for n in range(60) for code in CODES]
    lines += [f"p{n} 2014-06-01 2014-06-20 ICD10_C50 1 1 1" for n in range(3)]
    lines += [f"p{n} 2014-07-01 2014-07-01 ICD10_SMITH77 1 1 1" for n in range(20)]
    lines += ["p1 2014-07-01 2014-06-01 ICD10_E119 1 1 1", "- 2014-07-01 2014-07-01 ICD10_E119 1 1 1"]
    run.ingest("medbert", write_extract(tmp_path / "x.tsv", *lines))
    return run


def test_diagnoses(ingested):
    found = profiled(ingested, "diagnoses")
    assert (found.stage, found.rows, found.patients, found.visits) == ("diagnoses", 120, 60, 60)
    assert found.num_codes == 3
    assert [(code.token, code.patients, code.rows) for code in found.codes] == [
        ("ICD10CM//E11.9", 60, 60),
        ("ICD9CM//401.9", 60, 60),
    ]
    assert {name: (month.rows, month.systems) for name, month in found.months.items()} == {
        "2014-05": (120, {"ICD10CM": 60, "ICD9CM": 60}),
        "2014-06": (None, {"ICD10CM": None}),
    }
    assert found.los[:4] == (20, 20, 20, 20)
    assert found.los[-3:] == (None, 0, 0)  # 15 to 30 days: three patients
    assert found.codes_per_patient.median == 2
    assert found.rejected["code_malformed"].rows == 20
    assert found.rejected["code_malformed"].shapes == (("diag", "XXX99_XXXXX99"),)
    assert found.rejected["patient_missing"].rows is None


def test_no_small_cell_and_no_raw_value_is_kept(ingested):
    profiled(ingested, "diagnoses")
    text = bytes_of(ingested, "diagnoses").decode()
    assert not any(raw in text for raw in ("SMITH", "2014-07", "2014-05-0", "C50", "p1", "p2"))

    def numbers(value):
        if isinstance(value, dict):
            value = [item for key, item in value.items() if key not in NO_COUNTS]
        return [n for item in value for n in numbers(item)] if isinstance(value, list) else [value]

    counts = [n for n in numbers(json.loads(text)) if isinstance(n, int)]
    assert [n for n in counts if 0 < n < 11] == [3]  # different codes, which are no patients
    assert len(counts) > 10


def test_the_same_bytes_again(ingested):
    profiled(ingested, "diagnoses")
    first = bytes_of(ingested, "diagnoses")
    ingested.spark.conf.set("spark.sql.shuffle.partitions", "7")
    try:
        profiled(ingested, "diagnoses")
    finally:
        ingested.spark.conf.set("spark.sql.shuffle.partitions", "3")
    assert bytes_of(ingested, "diagnoses") == first


def test_vocabulary_sequences_and_shards(ingested):
    ingested.vocabulary(min_patients=1)
    ingested.sequences(min_codes=1)
    with pytest.raises(ContractError, match="give --vocabulary"):
        profiled(ingested, "sequences")
    vocabulary = {"vocabulary": ingested.path("vocabulary")}
    diagnoses, sequences = profiled(ingested, "diagnoses"), profiled(ingested, "sequences", **vocabulary)
    for same in ("rows", "patients", "visits", "months", "codes", "los", "codes_per_patient", "num_codes"):
        assert getattr(sequences, same) == getattr(diagnoses, same), same
    words = profiled(ingested, "vocabulary")
    assert words.num_codes == 3
    assert {code.token for code in words.codes} == {"ICD10CM//E11.9", "ICD9CM//401.9"}
    write_shards(
        ingested.spark,
        WriteShards(ingested.path("sequences"), vocabulary["vocabulary"], ingested.path("shards")),
    )
    shards = [profiled(ingested, f"shards/{split}", **vocabulary) for split in SPLITS]
    # Each number is to tens.
    assert abs(sum(found.rows for found in shards) - diagnoses.rows) <= 5 * (len(SPLITS) + 1)
    assert not any(found.months for found in shards)


def test_claims(run):
    generate_claims(run.spark, GenerateClaims(run.path("claims"), patients=60))
    run.ingest("claims", run.path("claims"))
    claims, diagnoses = profiled(run, "claims"), profiled(run, "diagnoses")
    rejected = [found.rows or 0 for found in diagnoses.rejected.values()]
    assert abs(claims.rows - diagnoses.rows - sum(rejected)) <= 10 * (len(rejected) + 2)
    assert claims.patients == diagnoses.patients
    assert claims.codes == diagnoses.codes


def test_what_has_no_profile_is_refused(run, tmp_path):
    with pytest.raises(ContractError, match=r"has no manifest\.json"):
        profiled(run, "diagnoses")
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "model" / "manifest.json").write_text('{"kind": "model"}')
    with pytest.raises(ContractError, match="what can be profiled is claims, diagnoses"):
        profiled(run, "model")


def test_the_reference_is_not_overwritten(ingested, tmp_path):
    profiled(ingested, "diagnoses")
    before = bytes_of(ingested, "diagnoses")
    own = ingested.path("profile/diagnoses")
    os.symlink(own, tmp_path / "link")
    for reference in (own, f"{own}/../diagnoses/", str(tmp_path / "link")):
        with pytest.raises(ContractError, match="copy the older profile"):
            profiled(ingested, "diagnoses", reference=reference)
    with pytest.raises(ContractError, match=r"has no manifest\.json"):
        profiled(ingested, "diagnoses", reference=f"{own}_mistyped")
    assert read_profile(own)[0] and bytes_of(ingested, "diagnoses") == before
    kept = shutil.copytree(own, tmp_path / "kept")
    assert profiled(ingested, "diagnoses", reference=str(kept))
