import json

import pytest
from pyspark.sql import functions as F

from spark_jobs.transforms.shapes import reject_shapes, shape_of

pytestmark = pytest.mark.spark


def test_shapes_say_how_and_not_what(spark):
    texts = {
        "E11.9": "X99.9",
        " e11.9": "␣x99.9",
        "2014-03-01": "9999-99-99",
        "Müller, José": "Xxxxxx,␣Xxxx",
        "Ж٣\x07€": "X9??",
        "": "(nothing)",
        "a" * 50: "x" * 40 + "…",
    }
    found = spark.createDataFrame([(text,) for text in texts], "text string").select(shape_of(F.col("text")))
    assert [row[0] for row in found.collect()] == list(texts.values())


def test_the_commonest_shapes_of_the_columns_in_question(spark):
    def row(reason, **raw):
        return reason, json.dumps(raw)

    rows = [
        *(row("code_malformed", patient_id="p17", diag="E1", diagnosis_priority="1") for _ in range(3)),
        row("code_malformed", patient_id="p18", diag="Jane Roe", diagnosis_priority="2"),
        row("code_missing", patient_id="p19", diag=None),
        row(
            "code_malformed",
            patient_id="p20",
            diagnosis_1="I10",
            diagnosis_2="x",
            diagnosis_column="diagnosis_2",
        ),
        row("admit_date_unreadable", patient_id="p21", vadate="1 May 2014", vddate="2014-05-02"),
        row("a_rule_of_another_release", patient_id="p22"),
        ("row_malformed", json.dumps({"_corrupt_record": "p23\tx"})),
    ]
    found = reject_shapes(spark.createDataFrame(rows, "reason string, raw string"), 2)
    assert sorted(tuple(row) for row in found.collect()) == [
        ("admit_date_unreadable", "vadate", "9␣Xxx␣9999", 1),
        ("code_malformed", "diag", "X9", 1),
        ("code_malformed", "diag", "Xxxx␣Xxx", 2),
        ("code_missing", "diag", "(nothing)", 1),
        ("row_malformed", "_corrupt_record", "x99␣x", 1),
    ]
