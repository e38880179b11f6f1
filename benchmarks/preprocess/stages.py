"""The project's own stages, as a user starts them: one spark-submit a stage, or one for several."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from benchmarks.preprocess.event_log import AppMetrics, read_event_log
from benchmarks.preprocess.process import Usage, run_measured

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STAGES = ("ingest", "vocabulary", "sequences", "shards")


@dataclass(frozen=True)
class StageResult:
    name: str
    usage: Usage
    metrics: AppMetrics


@dataclass(frozen=True)
class Chain:
    """One run of the chain. folder: of the run, with claims in `claims`. work: for logs."""

    folder: str
    work: str
    master: str
    driver_memory: str

    def generate(self, patients: int, seed: int) -> StageResult:
        options = ["--patients", str(patients), "--seed", str(seed), "--output", f"{self.folder}/claims"]
        return self.submit("claims", "generate_claims", options)

    def run(self, stage: str) -> StageResult:
        folder = self.folder
        vocabulary = ["--vocabulary", f"{folder}/vocabulary"]
        job, options = {
            "ingest": ("ingest_claims", ["--source", "claims", "--input", f"{folder}/claims"]),
            "vocabulary": ("build_vocabulary", ["--diagnoses", f"{folder}/diagnoses"]),
            "sequences": ("build_sequences", ["--diagnoses", f"{folder}/diagnoses", *vocabulary]),
            "shards": ("write_shards", ["--sequences", f"{folder}/sequences", *vocabulary]),
        }[stage]
        output = f"{folder}/{'diagnoses' if stage == 'ingest' else stage}"
        return self.submit(stage, job, [*options, "--output", output])

    def run_up_to_sequences(self) -> StageResult:
        """What `make preprocess` does, but for the shards."""
        folder = self.folder
        options = {
            "ingest.source": "claims",
            "ingest.input": f"{folder}/claims",
            "ingest.output": f"{folder}/diagnoses",
            "vocabulary.diagnoses": f"{folder}/diagnoses",
            "vocabulary.output": f"{folder}/vocabulary",
            "sequences.diagnoses": f"{folder}/diagnoses",
            "sequences.vocabulary": f"{folder}/vocabulary",
            "sequences.output": f"{folder}/sequences",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return self.submit("up-to-sequences", "preprocess", words)

    def submit(self, name: str, job: str, options: list[str], folder: str = "spark_jobs") -> StageResult:
        """Run a job under any name. folder: where it lies, below the project's."""
        events = f"{self.work}/events-{name}"
        os.makedirs(events, exist_ok=True)
        for old in os.listdir(events):
            os.remove(f"{events}/{old}")
        settings = {
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": f"file:{os.path.abspath(events)}",
            "spark.eventLog.rolling.enabled": "false",
            "spark.eventLog.compress": "false",
            "spark.eventLog.logStageExecutorMetrics": "true",
            "spark.executor.heartbeatInterval": "2s",
            "spark.executor.metrics.pollingInterval": "1000",
        }
        command = [sys.executable, f"{ROOT}/toolchain/spark_submit.py"]
        command += ["--master", self.master, "--driver-memory", self.driver_memory]
        command += [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
        command += [f"{ROOT}/{folder}/{job}.py", *options]
        environment = os.environ | {
            "PYTHONPATH": ROOT,
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
        usage = run_measured(name, command, environment, f"{self.work}/{name}.log")
        return StageResult(name, usage, read_event_log(events))
