"""One writer a folder, for jobs: the leases of schemas.lease.

Where the folder is not on a disk, its lease goes through Hadoop's file system, as the job's files do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from schemas.lease import Lease, hold
from spark_jobs.files.storage import Folder

Main = Callable[[SparkSession, Any], None]


class HadoopFiles:
    """The files of whatever Hadoop can reach, as a lease asks for them. Paths are whole URIs."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark

    def cat_file(self, path: str) -> bytes:
        """Raises FileNotFoundError."""
        file = Folder(self._spark, path)
        try:
            return file.read_bytes("")
        except Py4JJavaError as error:
            if file.exists():
                raise
            raise FileNotFoundError(path) from error

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite") -> None:
        """mode: create raises Py4JJavaError where there is a file already."""
        Folder(self._spark, path).write_bytes("", value, overwrite=mode != "create")

    def rm_file(self, path: str) -> None:
        Folder(self._spark, path).delete()


def hold_folder(spark: SparkSession, folder: Folder) -> AbstractContextManager[Lease]:
    """See schemas.lease.hold."""
    return hold(folder.qualified, filesystem=None if folder.is_local else HadoopFiles(spark))


def holds_outputs(*outputs: str) -> Callable[[Main], Main]:
    """Decorates a job's `main(spark, config)`: while it runs, no other process writes into its outputs.

    outputs: names in the config, each a folder. Raises FolderInUse.
    """

    def decorate(main: Main) -> Main:
        @functools.wraps(main)
        def alone(spark: SparkSession, config: Any) -> None:
            folders = {
                folder.qualified: folder
                for folder in (Folder(spark, getattr(config, name)) for name in outputs)
            }
            with ExitStack() as leases:
                for folder in folders.values():
                    leases.enter_context(hold_folder(spark, folder))
                main(spark, config)

        return alone

    return decorate
