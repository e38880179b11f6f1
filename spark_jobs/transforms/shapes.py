"""What rows that were set aside look like, without what they say: `e11.9 ` is `x99.9␣`."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

# Reason → the columns in question, by name; other reasons show no shape.
_ADMIT, _DISCHARGE = r"admi|vadate|start|from", r"disch|vddate|end|thru|through"
_PATIENT = r"patient|person|member|bene|subject"
_CODE = r"^(?!.*(priority|type|date|concept|status|poa|_column$)).*(diag|dx|icd|code|source_value)"
COLUMNS = {
    "row_malformed": "^_corrupt_record$",
    "patient_missing": _PATIENT,
    "patient_unreadable": _PATIENT,
    "visit_unreadable": r"visit|stay|encounter|hadm|claim",
    "admit_date_missing": _ADMIT,
    "admit_date_unreadable": _ADMIT,
    "discharge_date_missing": _DISCHARGE,
    "discharge_date_unreadable": _DISCHARGE,
    "discharge_before_admit": f"{_ADMIT}|{_DISCHARGE}",
    "code_missing": _CODE,
    "code_system_unknown": _CODE,
    "code_malformed": _CODE,
}
MOST_CHARACTERS = 40
NOTHING = "(nothing)"
# In order. All that is neither a letter, a digit, a blank nor plain punctuation is a question mark.
_REPLACED = (
    (r"\p{Lu}", "X"),
    (r"(?!X)\p{L}", "x"),
    (r"\p{N}", "9"),
    (r"\s", "␣"),
    (r"""[^Xx9␣.,;:/_+*#()'"&%-]""", "?"),
)


def shape_of(text: Column) -> Column:
    """Letters as X or x, digits as 9, blanks as ␣; at most MOST_CHARACTERS."""
    for pattern, sign in _REPLACED:
        text = F.regexp_replace(text, pattern, sign)
    cut = F.concat(F.substring(text, 1, MOST_CHARACTERS), F.lit("…"))
    short = F.when(F.length(text) > MOST_CHARACTERS, cut).otherwise(text)
    return F.when(F.length(short) > 0, short).otherwise(NOTHING)


def reject_shapes(rejected: DataFrame, most: int) -> DataFrame:
    """Rows set aside (reason, raw) → (reason, column, shape, place): for each reason the commonest shapes.

    A claim's entry says which of its columns it was (`diagnosis_column`): then that one alone is looked at.
    """
    pattern = F.lit(None).cast("string")
    for reason, names in COLUMNS.items():
        pattern = F.when(F.col("reason") == reason, names).otherwise(pattern)
    raw = F.from_json("raw", "map<string,string>")
    own = F.try_element_at(raw, F.lit("diagnosis_column"))
    is_code = F.startswith(F.col("reason"), F.lit("code_"))
    chosen = F.map_filter(
        raw,
        lambda name, value: F.when(is_code & own.isNotNull(), name == own).otherwise(
            F.rlike(name, F.col("pattern"))
            & (value.isNotNull() | F.endswith(F.col("reason"), F.lit("_missing")))
        ),
    )
    wanted = rejected.withColumn("pattern", pattern).where(F.col("pattern").isNotNull())
    cells = wanted.select("reason", F.explode(chosen).alias("column", "value"))
    shaped = cells.select("reason", "column", shape_of(F.coalesce("value", F.lit(""))).alias("shape"))
    counted = shaped.groupBy("reason", "column", "shape").count()
    commonest = Window.partitionBy("reason").orderBy(F.desc("count"), "column", "shape")
    placed = counted.withColumn("place", F.row_number().over(commonest))
    return placed.where(F.col("place") <= most).select("reason", "column", "shape", "place")
