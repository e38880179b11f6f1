"""What (c) and (d) are given: the same patients, padded."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.train.padded import pad
from tests.trainer.small_models import make_batch


@pytest.mark.parametrize("width", [None, 16])
def test_padded_patients_have_the_same_codes(width):
    batch = make_batch(1, patients=5, length=12)
    lengths = batch.patients.lengths
    padded = pad(batch, 9, width)
    assert padded.input_ids.shape == (5, width or lengths.max())
    assert padded.num_slots == padded.input_ids.size
    for row, length in enumerate(lengths):
        codes = slice(*batch.patients.offsets[row : row + 2])
        np.testing.assert_array_equal(padded.input_ids[row, :length], batch.input_ids[codes])
        np.testing.assert_array_equal(padded.visit_numbers[row, :length], batch.patients.visit_numbers[codes])
        assert (padded.input_ids[row, length:] == 9).all() and not padded.visit_numbers[row, length:].any()
        assert padded.real[row].tolist() == [True] * length + [False] * (padded.real.shape[1] - length)
    np.testing.assert_array_equal(padded.input_ids.flat[padded.masked_slots], batch.input_ids[batch.masked])
    np.testing.assert_array_equal(padded.masked_labels, batch.labels)
    np.testing.assert_array_equal(padded.prolonged_los, batch.patients.prolonged_los)
