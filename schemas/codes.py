"""Codes as tokens: `SYSTEM//CODE`, one spelling a code.

Source of the dotting rules: the ICD-9-CM and ICD-10-CM official coding guidelines (CMS/NCHS). A diagnosis
code has its dot after the category: three characters, but four for ICD-9-CM external causes (E800 to E999).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SEPARATOR = "//"
ICD9CM = "ICD9CM"
ICD10CM = "ICD10CM"
# A token is one line of vocab.txt, and some readers break lines at more than \n. Python and Java alike.
BREAKING_CHARACTERS = r"[\x00-\x1f\x7f-\x9f\u2028\u2029]"


@dataclass(frozen=True)
class CodeSystem:
    """How a system's codes are written.

    category_pattern: a regular expression (Python and Java alike) for the part before the dot, matched at the
    start of the undotted, upper-case code; valid_pattern: the whole undotted code.
    """

    name: str
    category_pattern: str
    valid_pattern: str


SYSTEMS: dict[str, CodeSystem] = {
    ICD9CM: CodeSystem(ICD9CM, r"E[0-9]{3}|[0-9V][0-9]{2}", r"(E[0-9]{3}[0-9]?|[0-9V][0-9]{2}[0-9]{0,2})"),
    ICD10CM: CodeSystem(ICD10CM, r"[A-Z][0-9A][0-9A-Z]", r"[A-Z][0-9A][0-9A-Z][0-9A-Z]{0,4}"),
}


def normalise_code(system: str, raw: str) -> str:
    """One spelling for a code: `normalise_code("ICD10CM", " e119 ")` is `ICD10CM//E11.9`.

    A system that is not in SYSTEMS keeps its codes' form, trimmed.
    Raises ValueError for an empty code or one that its system's form does not allow, and for a control
    character or line break in either.
    """
    trimmed = raw.strip()
    if not trimmed:
        raise ValueError("the code is empty")
    rule = SYSTEMS.get(system)
    if rule is None:
        token = f"{system}{SEPARATOR}{trimmed}"
        if re.search(BREAKING_CHARACTERS, token):
            raise ValueError("the code or its system has a control character or line break")
        return token
    bare = trimmed.upper().replace(".", "")
    if not re.fullmatch(rule.valid_pattern, bare):
        raise ValueError(f"the code does not have the form of {system}")
    category = re.match(rule.category_pattern, bare)
    assert category
    rest = bare[category.end() :]
    return f"{system}{SEPARATOR}{category[0]}" + (f".{rest}" if rest else "")
