"""From command line and YAML to a job's dataclass, and from there to its `main`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from pyspark.sql import SparkSession

from command_line.config_file import ConfigFile, parse_options
from command_line.outermost import OK, Told, run_program
from command_line.presets import new_parser
from schemas.locations import check_locations
from spark_jobs.session import open_session

Config = TypeVar("Config")


def parse(config_class: type[Config], arguments: Sequence[str] | None = None) -> Config:
    """Read a job's options: `--config file.yaml`, then single options, which win. Exits on an unknown one.

    Raises ContractError for a file of options that cannot be read, and for a path that breaks the rule of
    schemas.locations.
    """
    parser = new_parser(allow_abbrev=False)
    parser.add_argument("--config", action=ConfigFile, help="a YAML file with any of the options below")
    parser.add_class_arguments(config_class)
    options = parser.instantiate(parse_options(parser, arguments)).as_dict()
    options.pop("config", None)
    config = config_class(**options)
    check_locations(config)
    return config


def run_job(
    config_class: type[Config],
    main: Callable[[SparkSession, Config], None],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a job as a program: parse, open a session, run `main`, close. Returns the exit status.

    What the user can fix is one line on stderr, and the status is 2 (command_line.outermost).
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # What a call from the JVM raised comes back as an error of the JVM's: py4j need not show it as well.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)

    def work(told: Told) -> int:
        config = parse(config_class, arguments)
        told.output = getattr(config, "output", None)
        session = open_session(f"medbert-lake {config_class.__name__}")
        # The JVM's stderr: spark-submit hands this process's own on as stdout.
        jvm = session._jvm
        assert jvm
        stderr, system = jvm.System.err, jvm.System
        told.say = lambda message: stderr.println(f"\nerror: {' '.join(message.split())}")
        local = session.conf.get("spark.local.dir", None) or system.getProperty("java.io.tmpdir")
        told.scratch = f"Spark's own folder {local} on a machine that ran a task"
        try:
            main(session, config)
        finally:
            session.stop()  # what is said comes after Spark's own last words
        return OK

    return run_program(work)
