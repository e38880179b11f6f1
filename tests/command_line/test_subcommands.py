"""One parser for a program's commands."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from command_line.subcommands import Command, make_parser


@dataclass(frozen=True)
class Sum:
    """Two numbers."""

    first: int
    """the one"""
    second: int = 2
    negative: bool = False


COMMANDS = {"add": Command(Sum, lambda sum: sum.first + sum.second, "add two numbers")}


def test_a_command_gets_its_options():
    parsed = make_parser("tests", "For a test.", COMMANDS).parse_args(["add", "--first", "40"])
    command = COMMANDS[parsed.command]
    assert command.run(command.options(**parsed[parsed.command].as_dict())) == 42


@pytest.mark.parametrize(
    ("arguments", "negative"),
    [([], False), (["--negative"], True), (["--negative", "true"], True), (["--negative=false"], False)],
)
def test_a_switch_needs_no_value(arguments, negative):
    parsed = make_parser("tests", "For a test.", COMMANDS).parse_args(["add", *arguments, "--first", "40"])
    assert parsed["add"].negative is negative


def test_help_says_what_commands_and_options_are(capsys):
    parser = make_parser("tests", "For a test.", COMMANDS)
    for arguments, said in ((["--help"], "add two numbers"), (["add", "--help"], "the one")):
        with pytest.raises(SystemExit):
            parser.parse_args(arguments)
        assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["subtract"],
        ["add", "--first", "x"],
        ["add", "--third", "1"],
        ["add", "--first", "1", "--negative", "x"],
    ],
)
def test_what_is_wrong_ends_the_program(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        make_parser("tests", "For a test.", COMMANDS).parse_args(arguments)
    assert ended.value.code == 2
