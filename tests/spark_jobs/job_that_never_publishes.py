"""A job that waits for ever where it would publish: `job_that_never_publishes.py <job> <argument> …`.

It says so with a file `waiting` in its working folder. To be killed in time, then, nobody has to hurry.
"""

import importlib
import sys
import time
from typing import get_type_hints

from spark_jobs.config import run_job

WAITING = "waiting"


def wait(*_) -> None:
    with open(WAITING, "w"):
        pass
    time.sleep(3600)


def main(job: str, *arguments: str) -> None:
    module = importlib.import_module(f"spark_jobs.{job}")
    module.publish = wait
    run_job(get_type_hints(module.main)["config"], module.main, arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
