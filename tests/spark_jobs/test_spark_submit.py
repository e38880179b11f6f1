"""The jobs as on a cluster: `spark-submit --py-files dist/medbert_lake.zip spark_jobs/<job>.py`."""

import os
import zipfile

import pytest

from schemas.manifest import read_manifest
from tests.spark_jobs.pipeline import write_extract
from tests.spark_submit import run_job

pytestmark = [pytest.mark.spark, pytest.mark.slow]


@pytest.fixture
def submit(package, project_root, tmp_path):
    """submit(job, *arguments): in a folder from which the project's own packages cannot be imported."""

    def run(job, *arguments):
        script = job if os.path.isabs(job) else f"{project_root}/spark_jobs/{job}.py"
        return run_job(package, script, arguments, folder=str(tmp_path))

    return run


def test_ingest_vocabulary_and_sequences_from_the_zip(submit, package, tmp_path):
    assert "spark_jobs/transforms/visits.py" in zipfile.ZipFile(package).namelist()
    lines = [f"{n} 2014-03-01 2014-03-02 ICD10_C{10 + n % 3} 1 1 1" for n in range(30)]
    raw = write_extract(tmp_path / "x.tsv", *lines)
    done = submit("ingest_claims", "--source", "medbert", "--input", raw, "--output", "run/diagnoses")
    assert done.returncode == 0, done.stderr[-3000:]
    done = submit(
        "build_vocabulary",
        "--diagnoses",
        "run/diagnoses",
        "--output",
        "run/vocabulary",
        "--min_patients",
        "2",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # Assembling patients runs our code in Spark's Python workers, out of the zip.
    done = submit(
        "build_sequences", "--diagnoses", "run/diagnoses", "--vocabulary", "run/vocabulary", "--output",
        "run/sequences", "--min_codes", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert read_manifest(str(tmp_path / "run" / "sequences"), "sequences", verify=True).num_rows == 30


def test_a_user_s_mistake_is_one_line_and_status_2(submit, tmp_path):
    done = submit("ingest_claims", "--source", "fhir", "--input", "x", "--output", "y")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "known sources are medbert, omop, claims, meds" in line
    assert "Traceback" not in done.stderr + done.stdout


def test_the_zip_s_packages_come_before_any_others_of_their_names(submit, package, tmp_path):
    script = tmp_path / "where.py"
    script.write_text(
        "from pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\n"
        "def where(_):\n    import schemas, spark_jobs\n    return [schemas.__file__, spark_jobs.__file__]\n"
        "print('FOUND', *where(0), *spark.sparkContext.parallelize([0], 1).flatMap(where).collect())\n"
    )
    done = submit(str(script))
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FOUND")]
    assert line.count("medbert_lake.zip/") == 4
