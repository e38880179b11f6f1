"""The product as a user runs it: Makefile targets in child processes, from the project's root."""

import json
import os
import subprocess
from collections.abc import Callable

import pytest

from schemas.training_log import EVAL, METRICS_FILE

Make = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def make(project_root: str) -> Make:
    """`make("ingest", "shards", RUN=…)`: runs the targets with their variables; output is captured."""

    def run(*targets: str, check: bool = True, **variables: object) -> subprocess.CompletedProcess[str]:
        command = ["make", "--no-print-directory", *targets, *(f"{k}={v}" for k, v in variables.items())]
        # A test run is itself started by make, whose flags must not reach this one.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        done = subprocess.run(command, cwd=project_root, env=environment, capture_output=True, text=True)
        if check and done.returncode:
            shown = "\n".join((*done.stdout.splitlines()[-40:], *done.stderr.splitlines()[-40:]))
            pytest.fail(f"{' '.join(command)} ended with {done.returncode}:\n{shown}")
        return done

    return run


def last_evaluation(run: str) -> dict[str, float]:
    """The newest evaluation in a pretraining run's log."""
    with open(os.path.join(run, METRICS_FILE)) as stream:
        lines = [json.loads(line) for line in stream]
    return [line for line in lines if line["kind"] == EVAL][-1]
