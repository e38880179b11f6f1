"""YAML that people write: column maps, disease models, presets. Read strictly, and refused in one message.

PyYAML's own loaders keep the last of two equal keys, and fail in a dozen ways on what they cannot build.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from schemas.errors import ContractError
from schemas.small_files import check_size

MOST_YAML_BYTES = 4 << 20
MOST_DEPTH = 32
_OTHER_BASES = re.compile(r"[-+]?0[0-9_]+|[-+]?[0-9][0-9_]*(:[0-9]+)+(\.[0-9_]*)?")


class _StrictComposer(yaml.parser.Parser, yaml.composer.Composer):
    """Refuses a key that stands twice in a mapping."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.composer.ComposerError(
                        None, None, f"the key {key.value[:40]!r} is there twice", key.start_mark
                    )
                seen.add(key.value)
        return node


class TextLoader(_StrictComposer, yaml.BaseLoader):
    """Every value is a text: `1970-01-01` and `11`, too."""


class ValueLoader(_StrictComposer, yaml.SafeLoader):
    """Values are numbers, texts, truths and dates. Refuses numbers that are not what a person reads.

    In YAML 1.1 010 is 8, and 1:30 is 90.
    """

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        if node.style is None and _OTHER_BASES.fullmatch(node.value):
            raise yaml.composer.ComposerError(
                None,
                None,
                f"{node.value[:40]} is read as a number of another base: write it without leading zeros and "
                "colons, or in quotes",
                node.start_mark,
            )
        return node


def parse_yaml(
    text: str, where: str, rule: str, remedy: str, loader: type[TextLoader | ValueLoader] = ValueLoader
) -> Any:
    """The one document in a YAML text. where: its file, for messages.

    Raises ContractError for what is no YAML, for what load_yaml refuses, for a key that is there twice, and
    for a value that is not what its tag says (`!!int x`, 2020-13-45).
    """
    try:
        return load_yaml(text, where, loader)
    except ContractError:
        raise
    except yaml.YAMLError as error:
        raise ContractError(f"{where} cannot be read as YAML: {_in_one_line(error)}", rule, remedy) from error
    except Exception as error:  # the builders of values fail in many ways, none of them worth telling apart
        raise ContractError(
            f"{where} cannot be read as YAML: a value in it has not its type ({type(error).__name__})",
            rule,
            remedy,
        ) from error


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def load_yaml(text: str, where: str, loader: type[Any] = yaml.SafeLoader) -> Any:
    """YAML as plain values. loader: PyYAML's SafeLoader or BaseLoader.

    Raises ContractError for aliases, which a few lines can multiply to any size, for deep nesting and for a
    long file, before anything is built of it; yaml.YAMLError for what is no YAML.
    """
    check_size(len(text), where, MOST_YAML_BYTES)
    for _ in _plain_events(text, where, loader):
        pass
    return yaml.load(text, Loader=loader)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _plain_events(text: str, where: str, loader: type[Any]) -> Iterator[Any]:
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.AliasEvent):
            raise ContractError(
                f"{where}, line {_line(event)}: an alias (*{str(event.anchor)[:40]})",
                "a YAML file here has no aliases: they multiply what is read",
                "write the value out where it belongs",
            )
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise ContractError(
                f"{where}, line {_line(event)}: more than {MOST_DEPTH} levels",
                f"a YAML file here has at most {MOST_DEPTH} levels, one in another",
                "check that it is the file that you mean",
            )
        yield event
