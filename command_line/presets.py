"""Parsers that import nothing that a file names."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser, set_parsing_settings

from schemas.errors import ContractError

OWN_PACKAGES = ("spark_jobs", "trainer", "conversion", "reports", "deploy")
"""Where classes of options are; of a nested one jsonargparse takes the name as a value, too."""
_CLASS_KEYS = ("class_path", "init_args", "dict_kwargs")


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
