"""A program's commands, each with the dataclass of its options: `python -m reports run --run …`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jsonargparse import ArgumentParser

from command_line.presets import new_parser


class Command(NamedTuple):
    """One command: the dataclass of its options, what runs it, and one line of help."""

    options: type
    run: Callable[[Any], Any]
    help: str


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
