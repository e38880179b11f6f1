"""One writer a folder, for jobs: the leases of schemas.lease."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from pyspark.sql import SparkSession

from schemas.lease import hold
from spark_jobs.files.storage import Folder

Main = Callable[[SparkSession, Any], None]


def holds_outputs(*outputs: str) -> Callable[[Main], Main]:
    """Decorates a job's `main(spark, config)`: while it runs, no other process writes into its outputs.

    outputs: names in the config, each a folder. Raises FolderInUse.
    """

    def decorate(main: Main) -> Main:
        @functools.wraps(main)
        def alone(spark: SparkSession, config: Any) -> None:
            folders = [Folder(spark, getattr(config, name)).qualified for name in outputs]
            with ExitStack() as leases:
                for folder in dict.fromkeys(folders):
                    leases.enter_context(hold(folder))
                main(spark, config)

        return alone

    return decorate
