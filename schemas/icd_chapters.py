"""Chapters of ICD-10-CM and ICD-9-CM, by the categories that they end with.

Source: the tabular lists of both classifications (CMS/NCHS). One name stands for the chapters of both systems
that are about the same.
"""

from __future__ import annotations

import re
from bisect import bisect_left

from schemas.codes import ICD9CM, ICD10CM, SEPARATOR, SYSTEMS

OTHER = "no ICD chapter"

_ICD10CM: tuple[tuple[str, str], ...] = (
    ("B99", "Infections"),
    ("D49", "Neoplasms"),
    ("D89", "Blood"),
    ("E89", "Endocrine and metabolic"),
    ("F99", "Mental"),
    ("G99", "Nervous system"),
    ("H59", "Eye"),
    ("H95", "Ear"),
    ("I99", "Circulatory"),
    ("J99", "Respiratory"),
    ("K95", "Digestive"),
    ("L99", "Skin"),
    ("M99", "Musculoskeletal"),
    ("N99", "Genitourinary"),
    ("O9A", "Pregnancy"),
    ("P96", "Perinatal"),
    ("Q99", "Congenital"),
    ("R99", "Symptoms"),
    ("T88", "Injury and poisoning"),
    ("U99", "Special purposes"),
    ("Y99", "External causes"),
    ("Z99", "Health status"),
)
_ICD9CM: tuple[tuple[str, str], ...] = (
    ("139", "Infections"),
    ("239", "Neoplasms"),
    ("279", "Endocrine and metabolic"),
    ("289", "Blood"),
    ("319", "Mental"),
    ("359", "Nervous system"),
    ("379", "Eye"),
    ("389", "Ear"),
    ("459", "Circulatory"),
    ("519", "Respiratory"),
    ("579", "Digestive"),
    ("629", "Genitourinary"),
    ("679", "Pregnancy"),
    ("709", "Skin"),
    ("739", "Musculoskeletal"),
    ("759", "Congenital"),
    ("779", "Perinatal"),
    ("799", "Symptoms"),
    ("999", "Injury and poisoning"),
    ("E999", "External causes"),
    ("V99", "Health status"),
)
_TABLES = {ICD10CM: _ICD10CM, ICD9CM: _ICD9CM}
CHAPTERS: tuple[str, ...] = tuple(dict.fromkeys(name for table in _TABLES.values() for _, name in table))


def category_of(token: str) -> str | None:
    """`E11` of `ICD10CM//E11.9`; None for a token that is no ICD code."""
    system, _, code = token.partition(SEPARATOR)
    if system not in _TABLES:
        return None
    category = re.match(SYSTEMS[system].category_pattern, code)
    return category[0] if category else None


def chapter_of(token: str) -> str:
    """The chapter's name; OTHER for a token that is no ICD code or of no chapter."""
    category = category_of(token)
    if category is None:
        return OTHER
    table = _TABLES[token.partition(SEPARATOR)[0]]
    # Categories sort as text: digits before letters, as 99 before 9A in both systems' lists.
    place = bisect_left([last for last, _ in table], category)
    return table[place][1] if place < len(table) else OTHER
