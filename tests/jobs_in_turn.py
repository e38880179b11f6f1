"""Several jobs, each with its own session, in one driver: `spark-submit jobs_in_turn.py <jobs as JSON>`.

The JSON is a list of [job, [argument, …]]. What a chain costs is mostly the start of its processes.
"""

import importlib
import json
import sys
from typing import get_type_hints

from spark_jobs.config import run_job

for job, arguments in json.loads(sys.argv[1]):
    module = importlib.import_module(f"spark_jobs.{job}")
    if status := run_job(get_type_hints(module.main)["config"], module.main, arguments):
        sys.exit(status)
