"""Words that stand for a missing value: what programs write where they have none, as pandas' `nan`.

Every source has them, in any column of text: each reads them as it reads an empty field.
"""

MISSING_WORDS = ("nan", "none", "null", "na", "<na>", "nat", r"\n")  # in lower case
LONGEST_MISSING_WORD = max(map(len, MISSING_WORDS))


def is_missing(text: str) -> bool:
    """Whether the text, trimmed, is empty or one of MISSING_WORDS, in any case."""
    trimmed = text.strip()
    return not trimmed or (len(trimmed) <= LONGEST_MISSING_WORD and trimmed.lower() in MISSING_WORDS)
