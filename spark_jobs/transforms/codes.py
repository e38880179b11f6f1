"""`schemas.codes.normalise_code` as Spark expressions, from the same table of rules."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.codes import BREAKING_CHARACTERS, SEPARATOR, SYSTEMS, CodeSystem

# Python's notion of white space; Spark's own trim knows blanks only.
WHITE_SPACE = "".join(c for c in map(chr, range(0x3001)) if c.isspace())


def trim(text: Column) -> Column:
    """Without white space at both ends, as Python's str.strip."""
    return F.btrim(text, F.lit(WHITE_SPACE))


def empty_as_null(text: Column) -> Column:
    """Trimmed; null where nothing is left."""
    return F.nullif(trim(text), F.lit(""))


def normalised_code(system: Column, code: Column) -> Column:
    """`SYSTEM//CODE`, one spelling a code; null where the code does not have the form of its system.

    system: one of SYSTEMS, or another name, whose codes keep their form. code: trimmed, not empty.
    """
    result = F.when(~F.rlike(code, F.lit(BREAKING_CHARACTERS)), F.concat(system, F.lit(SEPARATOR), code))
    for rule in SYSTEMS.values():
        result = F.when(
            system == rule.name, _dotted(rule, F.replace(F.upper(code), F.lit("."), F.lit("")))
        ).otherwise(result)
    return result


def _dotted(rule: CodeSystem, bare: Column) -> Column:
    category = F.regexp_extract(bare, f"^({rule.category_pattern})", 1)
    rest = F.substring(bare, F.length(category) + 1, F.length(bare))
    dotted = F.concat(
        F.lit(rule.name + SEPARATOR),
        category,
        F.when(rest == "", F.lit("")).otherwise(F.concat(F.lit("."), rest)),
    )
    return F.when(F.rlike(bare, F.lit(rf"\A(?:{rule.valid_pattern})\z")), dotted)
