"""The job: what it writes, and that its bytes depend on nothing but its options."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from schemas.claims import CLAIMS, CLAIMS_FOLDER, DIAGNOSIS_COLUMNS, KIND, PATIENTS, PATIENTS_FOLDER
from schemas.errors import ContractError
from schemas.manifest import read_manifest
from spark_jobs.generate_claims import GenerateClaims, main
from spark_jobs.generator.block import Plan
from spark_jobs.generator.frames import NUM_DIAGNOSES, claims_frame, patients_frame

pytestmark = pytest.mark.spark


def generate(spark, folder, **options):
    config = GenerateClaims(
        **({"output": str(folder), "patients": 1_300, "patients_per_block": 500} | options)
    )
    main(spark, config)
    return read_manifest(str(folder), KIND, verify=True)


@pytest.fixture(scope="module")
def written(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("claims")
    return folder, generate(spark, folder)


def test_the_tables_keep_the_contract(written):
    folder, _ = written
    for subfolder, schema in ((CLAIMS_FOLDER, CLAIMS), (PATIENTS_FOLDER, PATIENTS)):
        table = pq.read_table(folder / subfolder)
        assert table.column_names == list(schema.column_names)
        assert [field.type for field in table.schema] == [field.type for field in schema.arrow]
        for column in schema.columns:
            assert column.nullable or not table.column(column.name).null_count


def test_files_and_counts_are_those_of_the_tables(written):
    folder, manifest = written
    assert [file.path for file in manifest.files if file.path.startswith(PATIENTS_FOLDER)] == [
        f"{PATIENTS_FOLDER}/part-0000{n}.parquet" for n in range(3)
    ]
    claims = pq.read_table(folder / CLAIMS_FOLDER).to_pandas()
    patients = pq.read_table(folder / PATIENTS_FOLDER).to_pandas()
    diagnoses = claims[list(DIAGNOSIS_COLUMNS)].notna().sum(axis=1)
    counts = manifest.counts
    assert counts["patients"] == len(patients) == patients.patient_id.nunique() == 1_300
    assert set(claims.patient_id) <= set(patients.patient_id)
    assert counts["claims"] == len(claims) == counts["claims_icd9"] + counts["claims_icd10"]
    assert counts["claims_inpatient"] == (claims.setting == "inpatient").sum() > 0
    assert (
        counts["diagnoses"]
        == diagnoses.sum()
        == counts["diagnoses_inpatient"] + counts["diagnoses_outpatient"]
    )
    assert counts["diagnoses_icd10"] == diagnoses[claims.icd_version == 10].sum() > 0
    assert sum(file.rows for file in manifest.files) == len(claims) + len(patients)


def test_the_bytes_depend_on_neither_the_session_s_parallelism_nor_an_earlier_run(spark, written, tmp_path):
    name = "spark.sql.leafNodeDefaultParallelism"
    try:
        for parallelism in ("1", "3"):
            spark.conf.set(name, parallelism)
            assert generate(spark, tmp_path) == written[1]
    finally:
        spark.conf.unset(name)
    assert generate(spark, tmp_path, seed=1).files != written[1].files


def test_rows_and_their_order_are_the_same_in_1_and_3_partitions(spark, model, written):
    plan = Plan(1_300, seed=0, first_year=2010, last_year=2021, patients_per_block=500)
    for frame, subfolder in ((claims_frame, CLAIMS_FOLDER), (patients_frame, PATIENTS_FOLDER)):
        one, three = (frame(spark, model, plan, number).drop(NUM_DIAGNOSES) for number in (1, 3))
        assert (one.rdd.getNumPartitions(), three.rdd.getNumPartitions()) == (1, 3)
        rows = one.toArrow()
        assert rows == three.toArrow()
        assert rows.to_pylist() == pq.read_table(written[0] / subfolder).to_pylist()


@pytest.mark.parametrize(
    ("option", "value"),
    [("patients", 0), ("patients", 10**8), ("seed", -1), ("first_year", 2030), ("patients_per_block", 0)],
)
def test_an_option_out_of_range_is_refused_before_anything_is_written(spark, tmp_path, option, value):
    with pytest.raises(ContractError, match=f"{option} is {value}"):
        generate(spark, tmp_path, **{option: value})
    assert list(tmp_path.iterdir()) == []


def test_patients_without_any_claim_are_refused(spark, tmp_path):
    with pytest.raises(ContractError, match="not one of the patients has a claim, patients 1 and seed 10"):
        generate(spark, tmp_path, patients=1, seed=10, patients_per_block=1)
    assert not (tmp_path / "manifest.json").exists()


def test_a_disease_model_of_one_s_own(spark, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("age_bands: [0, 40]\nconditions: {}\n")
    with pytest.raises(ContractError, match=r"own\.yaml: conditions has no condition"):
        generate(spark, tmp_path / "claims", disease_model=str(own))
