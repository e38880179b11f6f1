"""From command line and YAML to a job's dataclass, and from there to its `main`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from jsonargparse import ArgumentParser
from pyspark.sql import SparkSession

from schemas.errors import ContractError
from spark_jobs.session import open_session

Config = TypeVar("Config")

OK = 0
USER_ERROR = 2


def parse(config_class: type[Config], arguments: Sequence[str] | None = None) -> Config:
    """Read a job's options: `--config file.yaml`, then single options, which win. Exits on an unknown one."""
    parser = ArgumentParser(allow_abbrev=False)
    parser.add_argument("--config", action="config", help="a YAML file with any of the options below")
    parser.add_class_arguments(config_class)
    options = parser.instantiate(parser.parse_args(arguments)).as_dict()
    options.pop("config", None)
    return config_class(**options)


def run_job(
    config_class: type[Config],
    main: Callable[[SparkSession, Config], None],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a job as a program: parse, open a session, run `main`, close. Returns the exit status.

    A ContractError is the user's to mend: its message alone goes to stderr, on one line, and the status is 2.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    config = parse(config_class, arguments)
    session = open_session(f"medbert-lake {config_class.__name__}")
    try:
        main(session, config)
    except ContractError as error:
        # The JVM's stderr: spark-submit hands this process's own on as stdout.
        jvm = session._jvm
        assert jvm
        jvm.System.err.println(f"\nerror: {' '.join(str(error).split())}")
        return USER_ERROR
    finally:
        session.stop()
    return OK
