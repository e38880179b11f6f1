"""`python -m reports run | demo-summary`: the command line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec
from jsonargparse import ArgumentParser

from reports.page import render
from reports.summary import summarise
from schemas.errors import ContractError

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """One page."""

    run: str
    """The run's folder."""
    output: str
    """The HTML file to write."""


@dataclass(frozen=True, kw_only=True)
class SummaryConfig:
    """One summary on the terminal."""

    run: str
    """The run's folder."""


def write_report(config: ReportConfig) -> None:
    """Render a run's page and write it. Raises ContractError when the folder is no run."""
    page = render(config.run).encode()
    filesystem, path = fsspec.core.url_to_fs(config.output)
    filesystem.makedirs(filesystem._parent(path), exist_ok=True)
    filesystem.pipe_file(path, page)
    LOG.info("%s: %d kB", config.output, len(page) // 1000)


def show_summary(config: SummaryConfig) -> None:
    """Say on standard output what a run made and where it lies. Raises ContractError when it is no run."""
    sys.stdout.write(summarise(config.run))


COMMANDS: dict[str, tuple[type, Callable[[Any], None], str]] = {
    "run": (ReportConfig, write_report, "one self-contained HTML page on a run"),
    "demo-summary": (SummaryConfig, show_summary, "what a run made, where it lies, how to load the model"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 1 when the folder was refused."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    parsed = _parser().parse_args(list(arguments) if arguments is not None else None)
    options, run, _ = COMMANDS[parsed.command]
    try:
        run(options(**parsed[parsed.command].as_dict()))
    except ContractError as error:
        LOG.error("%s", error)
        return 1
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m reports", description="What a run made, for people.")
    commands = parser.add_subcommands(dest="command")
    for name, (options, _, description) in COMMANDS.items():
        command = ArgumentParser(description=description)
        command.add_class_arguments(options)
        commands.add_subcommand(name, command, help=description)
    return parser


if __name__ == "__main__":
    sys.exit(main())
