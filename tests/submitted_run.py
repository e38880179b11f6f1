"""A run's jobs under spark-submit, on any master."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.spark_submit import start_job

LOG = "jobs.log"


@dataclass(frozen=True)
class SubmittedRun:
    """A run's folder; its jobs start there, with relative paths.

    settings: of Spark. submit_options: more options of spark-submit.
    """

    package: str
    project_root: str
    folder: str
    master: str = "local[2]"
    settings: Mapping[str, str] = field(default_factory=dict)
    submit_options: Sequence[str] = ()

    def start(self, script: str, *arguments: str) -> subprocess.Popen:
        """script: relative to the project. The caller waits for it."""
        with open(f"{self.folder}/{LOG}", "ab") as log:
            return start_job(
                self.package,
                f"{self.project_root}/{script}",
                arguments,
                folder=self.folder,
                master=self.master,
                settings=self.settings,
                submit_options=self.submit_options,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def finish(self, process: subprocess.Popen) -> None:
        status = process.wait()
        assert status == 0, f"status {status} of {' '.join(process.args)}\n{self.last_words()}"

    def log(self) -> str:
        with open(f"{self.folder}/{LOG}", encoding="utf-8") as log:
            return log.read()

    def last_words(self) -> str:
        return self.log()[-5000:]

    def run(self, script: str, *arguments: str) -> None:
        self.finish(self.start(script, *arguments))

    def run_in_turn(self, jobs: Iterable[tuple[str, tuple[str, ...]]]) -> None:
        """Several jobs, each with its arguments, in one process, which is quicker."""
        self.run("tests/jobs_in_turn.py", json.dumps(list(jobs)))
