"""Programs of pyspark's own Spark, as tests start them: the jobs as on a cluster, out of the zip."""

from __future__ import annotations

import contextlib
import os
import runpy
import subprocess
import sys
from collections.abc import Iterable, Mapping

import psutil
import pyspark

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOGGING = f"{ROOT}/toolchain/spark"
# make's Spark, where that is the one of this Python. Only by these paths does make's archive of classes fit.
MAKES = f"{ROOT}/.venv/spark"
HOME = os.path.dirname(pyspark.__file__)
IS_MAKES = os.path.isdir(f"{MAKES}/conf") and os.path.realpath(f"{MAKES}/home") == os.path.realpath(HOME)
if IS_MAKES:
    HOME = f"{MAKES}/home"
HOST = "127.0.0.1"
# These programs end before the JVM's second compiler, or a second thread of its garbage collector, would pay.
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
SETTINGS = {
    "spark.driver.memory": "1g",
    "spark.executor.memory": "512m",
    "spark.driver.extraJavaOptions": SHORT_LIVED,
    "spark.executor.extraJavaOptions": SHORT_LIVED,
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "3",
}


def spark_environment() -> dict[str, str]:
    """This Python, pyspark's own Spark, settings as of `make`, and no folder to import the project from."""
    given = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return (
        {"SPARK_CONF_DIR": LOGGING}
        | given
        | {
            "SPARK_HOME": HOME,
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": HOST,
        }
    )


def job_environment() -> dict[str, str]:
    """Of a job's driver: Java maps the classes that a job of `make` has archived, if one has."""
    environment = spark_environment()
    if IS_MAKES and environment["SPARK_CONF_DIR"] == LOGGING:
        return runpy.run_path(f"{ROOT}/toolchain/spark_submit.py")["with_archive"](environment)
    return environment


def start_job(
    package: str,
    script: str,
    arguments: Iterable[str],
    *,
    folder: str,
    master: str = "local[2]",
    settings: Mapping[str, str] | None = None,
    submit_options: Iterable[str] = (),
    **options,
) -> subprocess.Popen:
    """`spark-submit --py-files package script arguments` in a folder and a process group of its own.

    settings: of Spark, beside SETTINGS. submit_options: of spark-submit. options: of Popen.
    """
    conf = [
        word
        for name, value in (SETTINGS | dict(settings or {})).items()
        for word in ("--conf", f"{name}={value}")
    ]
    command = [f"{HOME}/bin/spark-submit", "--master", master, *conf, *submit_options]
    return subprocess.Popen(
        [*command, "--py-files", package, script, *arguments],
        cwd=folder,
        env=job_environment(),
        start_new_session=True,
        **options,
    )


def run_job(*arguments, **options) -> subprocess.CompletedProcess:
    """start_job, to its end."""
    process = start_job(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def kill_all(process: subprocess.Popen) -> None:
    """kill -9 of a process, if it still runs, and of all below it (Spark's Python workers too), and wait."""
    if process.poll() is None:
        parent = psutil.Process(process.pid)
        family = [parent, *parent.children(recursive=True)]
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(family[1:], timeout=30)
    process.wait(timeout=30)
