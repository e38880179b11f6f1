"""What (d) is given: the same patients, padded to the full length."""

from __future__ import annotations

import numpy as np

from benchmarks.train.padded_steps import join_blocks, pad_to
from tests.trainer.small_models import make_block


def test_padded_blocks_hold_the_same_codes():
    blocks = [make_block(0, patients=5, length=7), make_block(1, patients=3, length=12)]
    padded = join_blocks([pad_to(block, 16, pad_id=0) for block in blocks])
    assert padded.input_ids.shape == padded.visit_numbers.shape == (8, 16)
    for values, before in (("input_ids", 0), ("visit_numbers", 0)):
        for block, rows in zip(blocks, (slice(0, 5), slice(5, 8)), strict=True):
            found, wanted = getattr(padded, values)[rows], getattr(block, values)
            np.testing.assert_array_equal(found[:, : wanted.shape[1]], wanted)
            assert (found[:, wanted.shape[1] :] == before).all()
    hidden = np.concatenate([block.input_ids.flat[block.masked_positions] for block in blocks])
    np.testing.assert_array_equal(padded.input_ids.flat[padded.masked_positions], hidden)
    np.testing.assert_array_equal(padded.lengths, np.concatenate([block.lengths for block in blocks]))
