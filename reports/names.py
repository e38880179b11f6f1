"""What a diagnosis code is called."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

from schemas.codes import ICD9CM, ICD10CM, SEPARATOR


def code_name(token: str) -> str:
    """The name of a `SYSTEM//CODE` token in its classification; empty for one that has none here.

    Source: the CDC's ICD-10-CM table, as simple-icd-10-cm carries it, and icd9cm_codes.tsv
    (icd9cm_codes_source.txt).
    """
    system, separator, code = token.partition(SEPARATOR)
    if not separator:
        return ""
    if system == ICD10CM:
        import simple_icd_10_cm

        return simple_icd_10_cm.get_description(code) if simple_icd_10_cm.is_valid_item(code) else ""
    if system == ICD9CM:
        return _icd9cm_names().get(code.replace(".", ""), "")
    return ""


@cache
def _icd9cm_names() -> dict[str, str]:
    """Undotted code → name."""
    with files("reports").joinpath("icd9cm_codes.tsv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {row["code"]: row["name"] for row in rows}
