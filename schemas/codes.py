"""Codes as tokens: `SYSTEM//CODE`, one spelling a code. SYSTEMS says which systems have a form, and which.

Sources of the forms: the official coding guidelines of ICD-9-CM, ICD-10-CM and ICD-10-PCS (CMS/NCHS), CPT
(AMA), HCPCS level II (CMS), the National Drug Code (FDA; 11 digits as in HIPAA's billing), ATC (WHO), RxNorm
(NLM) and CCSR (AHRQ).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from schemas.missing import is_missing

SEPARATOR = "//"
ICD9CM = "ICD9CM"
ICD10CM = "ICD10CM"
ICD9PROC = "ICD9PROC"
ICD10PCS = "ICD10PCS"
CPT4 = "CPT4"
HCPCS = "HCPCS"
NDC = "NDC"
ATC = "ATC"
RXNORM = "RXNORM"
CCSR = "CCSR"
# A token is one line of vocab.txt, and some readers break lines at more than \n. Python and Java alike.
BREAKING_CHARACTERS = r"[\x00-\x1f\x7f-\x9f\u2028\u2029]"

_CPT = "[0-9]{4}[0-9AFMTU]"
_NDC_DIGITS = (5, 4, 2)  # labeler, product, package


@dataclass(frozen=True)
class CodeSystem:
    """How a system's codes are written. Regular expressions are for Python, Java and Rust alike.

    aliases: other names of the system, in capitals and without punctuation. forms: alternatives of an
    upper-case code, each (category, rest). Between the two stands a dot or nothing; a code may also be its
    category alone, or have its only dot at its very end. An empty rest: the code is one piece without a dot.
    """

    name: str
    aliases: tuple[str, ...]
    forms: tuple[tuple[str, str], ...]

    @property
    def category_pattern(self) -> str:
        """The part before the dot."""
        return "|".join(category for category, _ in self.forms)

    @property
    def pattern(self) -> str:
        """A complete code, with its dot after the category or without one."""
        return "|".join(f"{category}(?:\\.?{rest})?" if rest else category for category, rest in self.forms)

    def spell(self, code: str) -> str | None:
        """The one spelling of an upper-case code; None where it does not have the system's form."""
        if code.endswith(".") and self._is_dotted and code.count(".") == 1:
            code = code[:-1]
        for form in self._compiled:
            if found := form.fullmatch(code):
                return self._spelt(*found.groups())
        return None

    def _spelt(self, category: str, rest: str | None = None) -> str:
        if self.name == NDC:
            return _eleven_digits(category)
        # X is the placeholder of an empty character: `I10X` is I10.
        if not rest or (self.name == ICD10CM and not rest.strip("X")):
            return category
        return f"{category}.{rest}"

    @cached_property
    def _is_dotted(self) -> bool:
        return any(rest for _, rest in self.forms)

    @cached_property
    def _compiled(self) -> tuple[re.Pattern[str], ...]:
        return tuple(
            re.compile(f"({category})(?:\\.?({rest}))?" if rest else f"({category})")
            for category, rest in self.forms
        )


SYSTEMS: dict[str, CodeSystem] = {
    system.name: system
    for system in (
        # External causes are E000 to E030 and E800 to E999, and no other E code is one of ICD-9-CM.
        CodeSystem(
            ICD9CM,
            ("ICD9", "I9"),
            (("E(?:0[0-2][0-9]|030|[89][0-9]{2})", "[0-9]"), ("[0-9V][0-9]{2}", "[0-9]{1,2}")),
        ),
        CodeSystem(ICD10CM, ("ICD10", "I10"), (("[A-Z][0-9][0-9A-Z]", "[0-9A-Z]{1,4}"),)),
        CodeSystem(ICD9PROC, ("ICD9PCS",), (("[0-9]{2}", "[0-9]{1,2}"),)),
        CodeSystem(ICD10PCS, (), (("[0-9A-HJ-NP-Z]{7}", ""),)),
        CodeSystem(CPT4, ("CPT",), ((_CPT, ""),)),
        CodeSystem(HCPCS, (), ((_CPT, ""), ("[A-V][0-9]{4}", ""))),  # level I is CPT
        # Ten digits without hyphens could be padded in three ways, and are none of the forms.
        CodeSystem(
            NDC,
            (),
            (
                ("[0-9]{11}", ""),
                ("[0-9]{5}-[0-9]{4}-[0-9]{2}", ""),
                ("[0-9]{4}-[0-9]{4}-[0-9]{2}", ""),
                ("[0-9]{5}-[0-9]{3}-[0-9]{2}", ""),
                ("[0-9]{5}-[0-9]{4}-[0-9]", ""),
            ),
        ),
        CodeSystem(ATC, (), (("[ABCDGHJLMNPRSV](?:[0-9]{2}(?:[A-Z](?:[A-Z](?:[0-9]{2})?)?)?)?", ""),)),
        CodeSystem(RXNORM, ("RXCUI",), (("[1-9][0-9]{0,7}", ""),)),
        CodeSystem(CCSR, (), (("[A-Z]{3}[0-9]{3}", ""),)),
    )
}
ALIASES: dict[str, str] = {
    alias: system.name for system in SYSTEMS.values() for alias in (system.name, *system.aliases)
}
PUNCTUATION = r"[-_. ]"  # which names of systems may have: `ICD-10-CM`


def known_system(name: str) -> str | None:
    """The system of SYSTEMS that a name means, however it is written: `icd-10` is ICD10CM. None for none."""
    return ALIASES.get(re.sub(PUNCTUATION, "", name.strip()).upper())


def system_named(name: str) -> str:
    """As known_system; a name that is not known stays as it is, trimmed."""
    return known_system(name) or name.strip()


def normalise_code(system: str, raw: str) -> str:
    """One spelling for a code: `normalise_code("ICD-10", " e119 ")` is `ICD10CM//E11.9`.

    system: any name of one. A system that is not in SYSTEMS keeps its codes' form, trimmed.
    Raises ValueError for a missing code (schemas.missing) or one that its system's form does not allow, and
    for a control character or line break in either.
    """
    trimmed = raw.strip()
    if is_missing(trimmed):
        raise ValueError("the code is empty, or a word that stands for a missing one")
    rule = SYSTEMS.get(system) or SYSTEMS.get(system_named(system))
    if rule is None:
        token = f"{system}{SEPARATOR}{trimmed}"
        if re.search(BREAKING_CHARACTERS, token):
            raise ValueError("the code or its system has a control character or line break")
        return token
    code = rule.spell(trimmed.upper())
    if code is None:
        raise ValueError(f"the code does not have the form of {rule.name}")
    return f"{rule.name}{SEPARATOR}{code}"


def _eleven_digits(code: str) -> str:
    """An NDC's segments, each with leading zeros; 11 digits stay as they are."""
    segments = code.split("-")
    if len(segments) == 1:
        return code
    return "".join(segment.zfill(digits) for segment, digits in zip(segments, _NDC_DIGITS, strict=True))
