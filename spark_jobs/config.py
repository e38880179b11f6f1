"""From command line and YAML to a job's dataclass, and from there to its `main`."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from pyspark.sql import SparkSession

from command_line.presets import PresetFile, new_parser
from schemas.errors import ContractError
from schemas.locations import check_locations
from spark_jobs.session import open_session

Config = TypeVar("Config")

OK = 0
USER_ERROR = 2
# The system's words for ENOSPC, which Java, too, hands on.
_NO_SPACE = os.strerror(errno.ENOSPC)


def parse(config_class: type[Config], arguments: Sequence[str] | None = None) -> Config:
    """Read a job's options: `--config file.yaml`, then single options, which win.

    Exits on an unknown one, and on a path that breaks the rule of schemas.locations.
    """
    parser = new_parser(allow_abbrev=False)
    parser.add_argument("--config", action=PresetFile, help="a YAML file with any of the options below")
    parser.add_class_arguments(config_class)
    try:
        options = parser.instantiate(parser.parse_args(arguments)).as_dict()
        options.pop("config", None)
        config = config_class(**options)
        check_locations(config)
    except ContractError as error:
        parser.error(str(error))
    return config


def run_job(
    config_class: type[Config],
    main: Callable[[SparkSession, Config], None],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a job as a program: parse, open a session, run `main`, close. Returns the exit status.

    A ContractError is the user's to mend, and so is a full disk: one line on stderr, and the status is 2.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # What a call from the JVM raised comes back as an error of the JVM's: py4j need not show it as well.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    config = parse(config_class, arguments)
    session = open_session(f"medbert-lake {config_class.__name__}")
    # The JVM's stderr: spark-submit hands this process's own on as stdout.
    jvm = session._jvm
    assert jvm
    message = ""
    try:
        main(session, config)
    except ContractError as error:
        message = str(error)
    except Exception as error:
        if not _is_disk_full(error):
            raise
        local = session.conf.get("spark.local.dir", None) or jvm.System.getProperty("java.io.tmpdir")
        message = str(_disk_full(config, local))
    finally:
        session.stop()
    if message:
        # After Spark's own last words.
        jvm.System.err.println(f"\nerror: {' '.join(message.split())}")
        return USER_ERROR
    return OK


def _is_disk_full(error: BaseException | None) -> bool:
    """Whether a disk without space is the cause, here or, as the text tells, in the JVM or a task."""
    while error:
        if (isinstance(error, OSError) and error.errno == errno.ENOSPC) or _NO_SPACE in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _disk_full(config: object, local: str | None) -> ContractError:
    return ContractError(
        f"a disk is full: {_NO_SPACE} in --output {getattr(config, 'output', '')}, or in Spark's own folder "
        f"{local} on a machine that ran a task",
        "a stage needs space for its output, and for what it shuffles (spark.local.dir)",
        "make space, or name another folder, and run the stage again; no stage reads what is there now",
    )
