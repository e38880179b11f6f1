"""Parsers that import nothing a file names, and presets that are checked before they are parsed."""

from __future__ import annotations

from typing import Any

import yaml
from jsonargparse import ActionConfigFile, ArgumentParser, set_parsing_settings

from schemas.errors import ContractError
from schemas.small_files import MOST_YAML_BYTES, load_yaml, read_small_file

OWN_PACKAGES = ("spark_jobs", "trainer", "conversion", "reports", "deploy")
"""Where classes of options are; of a nested one jsonargparse takes the name as a value, too."""
_CLASS_KEYS = ("class_path", "init_args", "dict_kwargs")


class PresetFile(ActionConfigFile):
    """`--config preset.yaml`: plain values alone, none of which names a class. Raises ContractError."""

    @staticmethod
    def apply_config(parser: ArgumentParser, cfg: Any, dest: str, value: Any) -> None:
        if isinstance(value, str):
            try:
                content = read_small_file(value, MOST_YAML_BYTES)
            except (OSError, ImportError, ValueError) as error:
                if isinstance(error, ContractError):
                    raise
            else:
                check_preset(content, value)
        ActionConfigFile.apply_config(parser, cfg, dest, value)


def check_preset(content: bytes, where: str) -> None:
    """Raises ContractError for YAML that multiplies itself, or that names a class. What is no YAML passes:
    the parser says so.
    """
    try:
        plain = load_yaml(content.decode(), where, yaml.BaseLoader)
    except (yaml.YAMLError, UnicodeDecodeError):
        return
    check_no_classes(plain, where)


def check_no_classes(value: Any, where: str) -> None:
    """Raises ContractError for a key under which jsonargparse would take a class's name."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in _CLASS_KEYS or str(key).rpartition(".")[2] in _CLASS_KEYS:
                raise ContractError(
                    f"{where} has the key {key}",
                    "a YAML file here holds values of options and names no class: nothing is imported for it",
                    "write the option's own fields, as in the examples of configs/",
                )
            check_no_classes(item, where)
    elif isinstance(value, list):
        for item in value:
            check_no_classes(item, where)


def new_parser(**settings: Any) -> ArgumentParser:
    """A parser whose values, from a command line or a file, import nothing but classes of our own options."""
    set_parsing_settings(
        docstring_parse_attribute_docstrings=True,
        import_path_denylist=["*"],
        import_path_allowlist=list(OWN_PACKAGES),
    )
    return ArgumentParser(**settings)
