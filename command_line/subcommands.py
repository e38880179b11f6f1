"""A program's commands, each with the dataclass of its options: `python -m reports run --run …`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jsonargparse import ArgumentParser

from command_line.config_file import parse_options
from command_line.outermost import Told, run_program
from command_line.presets import new_parser
from schemas.locations import check_locations


class Command(NamedTuple):
    """One command: the dataclass of its options, what runs it, and one line of help."""

    options: type
    run: Callable[[Any], Any]
    help: str


def run_command(
    parser: ArgumentParser,
    commands: Mapping[str, Command],
    arguments: Sequence[str] | None,
    finish: Callable[[Any], int],
) -> int:
    """Run the command that the arguments name; the exit status (command_line.outermost).

    finish: takes what the command returned, and gives the exit status.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)

    def work(told: Told) -> int:
        told.say = logging.getLogger(__name__).error
        parsed = parse_options(parser, arguments)
        command = commands[parsed.command]
        options = command.options(**vars(parser.instantiate(parsed)[parsed.command]))
        told.output = getattr(options, "output", None)
        check_locations(options)
        return finish(command.run(options))

    return run_program(work)


def make_parser(program: str, description: str, commands: Mapping[str, Command]) -> ArgumentParser:
    """The parser of `python -m program`. What it parsed names the `command`, and has its options under it."""
    parser = new_parser(prog=f"python -m {program}", description=description)
    subcommands = parser.add_subcommands(dest="command")
    for name, command in commands.items():
        options = new_parser(description=command.help)
        options.add_class_arguments(command.options)
        for action in options._actions:
            if action.default is False:  # a switch: --use_ema is --use_ema true
                action.nargs, action.const = "?", True
        subcommands.add_subcommand(name, options, help=command.help)
    return parser
