"""Counting codes in one batch of whole patients."""

import pyarrow as pa

from spark_jobs.transforms.vocabulary import IN_TRAINING, count_batch


def test_a_patient_counts_once_a_code_and_only_in_training():
    rows = pa.RecordBatch.from_pydict(
        {
            "token": ["A", "B", "A", "A", "C", "A"],
            "patient_id": ["1", "1", "1", "2", "3", "3"],
            IN_TRAINING: [True, True, True, True, False, False],
        }
    )
    counted = {row["token"]: row for row in count_batch(rows).to_pylist()}
    assert counted["A"] == {"token": "A", "num_patients": 2, "num_occurrences": 3}
    assert counted["B"] == {"token": "B", "num_patients": 1, "num_occurrences": 1}
    assert counted["C"] == {"token": "C", "num_patients": 0, "num_occurrences": 0}
