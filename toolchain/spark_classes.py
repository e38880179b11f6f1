"""Spark's classes as one file that the JVM maps into memory: a job then starts in two thirds of the time.

Java's class data sharing (JEP 350). The JVM that runs a small chain of our own jobs writes down, at its end,
the classes it has loaded, `.venv/spark/classes.jsa`. Where the file does not fit (another Java, other jars) a
JVM starts without it. The class path is part of what must fit, and may have no folder with anything in it:
hence the empty `.venv/spark/conf` in the place of Spark's own (Makefile).
"""

from __future__ import annotations

import os
import shutil

from progress import StepFailed, run_step

HERE = os.path.dirname(os.path.abspath(__file__))
JOB = os.path.join(HERE, "small_chain.py")


def archive_classes(venv: str, log: str) -> None:
    """Make the file in that virtual environment. Without it everything works, so a failure is only told."""
    folder = os.path.join(venv, "spark")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "conf"))
    python, classes = os.path.join(venv, "bin", "python"), os.path.join(folder, "classes.jsa")
    command = [os.path.join(venv, "bin", "spark-submit"), "--master", "local[2]"]
    command += ["--driver-java-options", f'"-XX:ArchiveClassesAtExit={classes}" -Xlog:cds*=off', JOB]
    settings = {
        "PYSPARK_PYTHON": python,
        "PYSPARK_DRIVER_PYTHON": python,
        "SPARK_CONF_DIR": os.path.join(folder, "conf"),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    environment = {name: value for name, value in os.environ.items() if name != "SPARK_SUBMIT_OPTS"}
    try:
        run_step("Archiving Spark's classes", command, log, env=environment | settings, cwd=folder)
    except StepFailed:
        print(f"  jobs will start without them, somewhat later; see {log}", flush=True)
