"""Spellings of one ICD code are one token: what tokenizer.json does before it looks a code up.

`ICD10CM//E11.9`, `icd10cm//e119` and, without its system, `E11.9`, `e11.9` or `E119`. These are regular
expressions in the file itself, so the tokenizer needs no code of ours. Other systems' codes stay as they are.

A bare code is of the system whose form it has. With both systems in the vocabulary, V45.81 has the form of
both, and so has E8810 without its dot: such a code is left as it is, which is unknown, and never guessed.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from schemas.codes import ICD9CM, ICD10CM, SEPARATOR, SYSTEMS

if TYPE_CHECKING:
    from tokenizers.normalizers import Normalizer

_BARE = {system: f"(?:{SYSTEMS[system].pattern})" for system in (ICD9CM, ICD10CM)}
_LONGEST_CODE = 8
_WORD_START, _WORD_END = r"(?<!\S)", r"(?!\S)"


def one_spelling(tokens: Iterable[str]) -> Normalizer | None:
    """The normaliser for the ICD systems that the tokens are of; None if of none."""
    from tokenizers import Regex, normalizers

    present = {token.partition(SEPARATOR)[0] for token in tokens if SEPARATOR in token}
    systems = [system for system in _BARE if system in present]
    if not systems:
        return None
    rules = [(rf"(?i){_WORD_START}{system}{SEPARATOR}", system + SEPARATOR) for system in systems]
    rules += [(_bare_code(system, systems), system + SEPARATOR) for system in systems]
    inside = rf"(?<=(?:{'|'.join(systems)}){SEPARATOR}\S{{0,{_LONGEST_CODE - 1}}})"
    rules += [(inside + small, small.upper()) for small in string.ascii_lowercase]
    for system in systems:
        # A dot anywhere else than after the category or at the end stays, and makes an unknown code.
        category = rf"(?<={system}{SEPARATOR}(?:{SYSTEMS[system].category_pattern})"
        rules.append((rf"(?<={system}{SEPARATOR}[0-9A-Z]{{3,{_LONGEST_CODE - 1}}})\.{_WORD_END}", ""))
        if system == ICD10CM:
            rules.append((rf"{category})\.?X+{_WORD_END}", ""))
        rules.append((rf"{category})(?=[0-9A-Z])", "."))
    return normalizers.Sequence([normalizers.Replace(Regex(rule), text) for rule, text in rules])


def example_spellings(tokens: Sequence[str]) -> list[str]:
    """Spellings of one of the tokens, itself the last: to the tokenizer all of them are that token.

    Of the first token that has a dot and several spellings, else of the first that has several. Empty where
    none has: there is no ICD code, or each bare one might be of another system.
    """
    normalizer = one_spelling(tokens)
    if normalizer is None:
        return []
    codes = [token for token in tokens if token.partition(SEPARATOR)[0] in _BARE]
    found = (_spellings(token, normalizer) for token in sorted(codes, key=lambda token: "." not in token))
    return next((spellings for spellings in found if len(spellings) > 1), [])


def _spellings(token: str, normalizer: Normalizer) -> list[str]:
    code = token.partition(SEPARATOR)[2]
    tried = dict.fromkeys((code, code.lower(), code.replace(".", ""), token))
    return [spelling for spelling in tried if normalizer.normalize_str(spelling) == token]


def _bare_code(system: str, systems: list[str]) -> str:
    """Matches the empty place before a code that has this system's form and no other's."""
    others = "".join(f"(?!{_BARE[other]}{_WORD_END})" for other in systems if other != system)
    return rf"(?i){_WORD_START}{others}(?={_BARE[system]}{_WORD_END})"
