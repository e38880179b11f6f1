"""Read a column map of claims from its YAML file, and refuse one that is not whole."""

from __future__ import annotations

import datetime
import re

from jsonargparse import ArgumentError

from command_line.presets import check_no_classes, new_parser
from schemas.errors import ContractError
from schemas.files import read_text
from schemas.yaml_text import MOST_YAML_BYTES, TextLoader, parse_yaml
from spark_jobs.sources.claims_map import GENERATED, SINCE, ClaimsMap, System, expand

_NESTED = re.compile(r"\bmap\.")


def read_claims_map(uri: str | None) -> ClaimsMap:
    """Read and check a map from a local path or URI; None is GENERATED. Raises ContractError."""
    if uri is None:
        return GENERATED
    rule, remedy = "--claims.columns is a YAML file in UTF-8", "check the path, or save it as UTF-8"
    text = read_text(uri, rule, remedy, MOST_YAML_BYTES)
    return parse_claims_map(text, uri)


def parse_claims_map(text: str, where: str) -> ClaimsMap:
    """Parse and check a map; `where` is its file, for messages. Raises ContractError."""
    found = parse_yaml(text, where, "a column map is YAML", "fix the file", TextLoader)
    if not isinstance(found, dict):
        raise ContractError(f"{where} is no mapping", "a column map is `key: value`", "fix the file")
    check_no_classes(found, where)
    parser = new_parser(exit_on_error=False)
    parser.add_class_arguments(ClaimsMap, "map")
    try:
        claims_map = parser.instantiate(parser.parse_object({"map": found})).map
    except (ArgumentError, TypeError) as error:
        raise ContractError(
            f"{where} is not a column map: {' '.join(_NESTED.sub('', str(error)).split())}",
            "its keys are those of spark_jobs/sources/claims_map.py",
            "compare it with an example of configs/sources/",
        ) from error
    _check(claims_map, where)
    return claims_map


def _check(claims_map: ClaimsMap, where: str) -> None:
    """Raise ContractError for keys that do not go together."""
    dates, status = claims_map.dates, claims_map.status
    both = bool(claims_map.admit) and bool(claims_map.discharge)
    columns = claims_map.code_columns
    rules = [
        *(rule for of_codes, system in claims_map.codes for rule in _rules_of_system(system, len(of_codes))),
        (
            both != (dates is not None) and bool(claims_map.admit) == bool(claims_map.discharge),
            "admit, discharge, dates",
            "it has admit and discharge, or else dates",
        ),
        (
            all(of_codes for of_codes, _ in claims_map.codes) and len(set(columns)) == len(columns),
            "diagnoses.columns, procedures, drugs",
            "one or more columns, each once",
        ),
        (
            not claims_map.diagnoses.order or len(columns) == 1,
            "diagnoses.order",
            "only for a single column of codes",
        ),
        (
            bool(claims_map.claim) or not claims_map.diagnoses.repeat_on_lines,
            "diagnoses.repeat_on_lines",
            "it needs claim",
        ),
        (bool(claims_map.claim) or status is None, "status", "it needs claim"),
        (
            status is None or bool(status.reversed or status.replacement or status.superseded),
            "status",
            "it says which values of its column mean reversed, replacement or superseded",
        ),
        (
            dates is None or re.fullmatch(r"\d{4}-\d{2}-\d{2}", dates.base) is not None,
            "dates.base",
            "it is a date, YYYY-MM-DD",
        ),
        (dates is None or dates.gap_days >= 0, "dates.gap_days", "it is 0 or more"),
        (
            " since " not in (claims_map.date_format or "") or _is_since(claims_map.date_format or ""),
            "date_format",
            "it is a pattern of Spark's, `days since YYYY-MM-DD` or `seconds since YYYY-MM-DD`",
        ),
    ]
    for holds, key, rule in rules:
        if not holds:
            raise ContractError(f"{where}: {key} is not right", f"{key}: {rule}", "mend the file")
    for pattern in _patterns(claims_map):
        try:
            re.compile(pattern)
        except re.error as error:
            raise ContractError(
                f"{where}: {pattern} is not a regular expression ({error})",
                "values of status and inpatient and patterns of repairs are regular expressions",
                "mend the file",
            ) from error


def _rules_of_system(system: System, num_columns: int) -> list[tuple[bool, str, str]]:
    ways = [system.constant, system.column, system.columns]
    return [
        (
            sum(way is not None for way in ways) == 1 and not (system.constant and system.values),
            "system",
            "it has a constant, or a column and values, or columns and values, not both",
        ),
        (
            system.columns is None or len(expand(system.columns)) == num_columns,
            "system.columns",
            "a column for each column of codes",
        ),
    ]


def _is_since(date_format: str) -> bool:
    found = SINCE.fullmatch(date_format)
    try:
        return found is not None and bool(datetime.date.fromisoformat(found[2]))
    except ValueError:
        return False


def _patterns(claims_map: ClaimsMap) -> list[str]:
    status, stays = claims_map.status, claims_map.inpatient
    of_status = [*status.reversed, *status.replacement, *status.superseded] if status else []
    return [*of_status, *(stays.values if stays else []), *(repair.pattern for repair in claims_map.repairs)]
