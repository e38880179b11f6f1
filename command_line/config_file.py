"""`--config FILE`: a YAML file of options, read strictly; options beside it on the command line win."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from jsonargparse import ActionConfigFile, ArgumentParser, Namespace

from command_line.presets import check_no_classes
from schemas.errors import ContractError, OneMessage
from schemas.files import read_text
from schemas.yaml_text import MOST_YAML_BYTES, parse_yaml

_RULE = "--config is a YAML file in UTF-8 of this program's options"
_REMEDY = "compare it with a file of configs/ and with --help"


class ConfigFile(ActionConfigFile):
    """What jsonargparse takes for a file of options, once it is found to be one.

    By itself it passes over a section that is no mapping, keeps the last of two equal keys, and ends in a
    traceback for a file in Latin-1 or nested too deep. Raises ContractError.
    """

    def __call__(
        self, parser: ArgumentParser, cfg: Namespace, values: str, option_string: str | None = None
    ) -> None:
        found = parse_yaml(read_text(values, _RULE, _REMEDY, MOST_YAML_BYTES), values, _RULE, _REMEDY)
        if not isinstance(found, dict):
            raise ContractError(f"{values} is no mapping of options to values", _RULE, _REMEDY)
        check_no_classes(found, values)
        own = {self.dest, "help", f"print_{self.dest}"}
        actions = [action for action in parser._actions if action.dest not in own]
        options = {action.dest: getattr(action, "_typehint", None) for action in actions}
        if wrong := _misplaced(found, options):
            raise ContractError(f"{values}: {wrong}", _RULE, _REMEDY)
        super().__call__(parser, cfg, values, option_string)


def parse_options(parser: ArgumentParser, arguments: Sequence[str] | None) -> Namespace:
    """The parsed arguments; the program ends with status 2 where they are none of its own.

    Raises ContractError for a file of options that cannot be read, and a value that is no YAML of its kind.
    """
    try:
        return parser.parse_args(None if arguments is None else list(arguments))
    except (ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, OneMessage):
            raise
        raise ContractError(
            f"an option cannot be read ({type(error).__name__}: {str(error)[:100]})",
            "values of options are YAML of the kind that --help says",
            "check the values on the command line and in --config",
        ) from error


def _misplaced(found: Mapping[Any, Any], options: Mapping[str, Any], section: str = "") -> str:
    """What is wrong with the keys of a section and with its nulls, in words; "" for nothing.

    options: name → its type. jsonargparse takes null for any option of a section.
    """
    for key, value in found.items():
        name = f"{section}{key}"
        has_options = any(option.startswith(f"{name}.") for option in options)
        if name not in options and not has_options:
            return f"there is no option {name[:80]}"
        if value is None and not has_options and type(None) not in get_args(options[name]):
            return f"{name} is null"
        if has_options and not isinstance(value, dict):
            return f"{name} is a section of options, not a value"
        if has_options and (wrong := _misplaced(value, options, f"{name}.")):
            return wrong
    return ""
