"""Counting codes in one batch of whole patients."""

import pyarrow as pa
import pytest

from spark_jobs.transforms.vocabulary import count_batch
from tests.spark_jobs.reference import split_of

TRAIN_1, TRAIN_2 = [str(n) for n in range(100) if split_of("salt", str(n)) == "train"][:2]
TEST = next(str(n) for n in range(100) if split_of("salt", str(n)) == "test")


@pytest.mark.parametrize("only_training", [False, True])
def test_a_patient_counts_once_a_code_and_only_in_training(only_training):
    rows = pa.RecordBatch.from_pydict(
        {
            "code": ["A", "B", "A", "A", "C", "A"],
            "patient_id": [TRAIN_1, TRAIN_1, TRAIN_1, TRAIN_2, TEST, TEST],
        }
    )
    counted = {row["token"]: row for row in count_batch(rows, "salt", only_training).to_pylist()}
    expected = {
        "A": {"token": "A", "num_patients": 2, "num_occurrences": 3},
        "B": {"token": "B", "num_patients": 1, "num_occurrences": 1},
        "C": {"token": "C", "num_patients": 0, "num_occurrences": 0},
    }
    assert counted == {token: row for token, row in expected.items() if token != "C" or not only_training}
