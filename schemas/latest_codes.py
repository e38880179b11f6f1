"""Which codes of a long patient a model reads: the latest, their visits numbered from 1 again.

Training, embedding, the release check and the conversion's parity check all cut patients here.
encode_patient.py, which is shipped in model folders and runs without this project, has a copy of the rule; a
test holds it equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LatestCodes:
    """Of P patients with N codes: the M that are kept.

    kept: (N,) bool. visit_numbers: (M,), each patient's from 1. offsets: (P + 1,) int64; patient i has
    offsets[i] to offsets[i + 1] of the M.
    """

    kept: np.ndarray
    visit_numbers: np.ndarray
    offsets: np.ndarray


def latest_codes(visit_numbers: np.ndarray, offsets: np.ndarray, max_codes: int) -> LatestCodes:
    """Keep the last `max_codes` (1 or more) codes of each patient. The first visit kept gets number 1.

    visit_numbers: (N,), ascending within a patient. offsets: (P + 1,); patient i has offsets[i] to
    offsets[i + 1] of the N, and offsets[0] is 0.
    """
    lengths = np.diff(offsets)
    kept_lengths = np.minimum(lengths, max_codes)
    starts = offsets[1:] - kept_lengths  # (P,) each patient's first code that is kept
    kept = np.arange(len(visit_numbers)) >= np.repeat(starts, lengths)
    has_codes = lengths > 0
    before = visit_numbers[starts[has_codes]] - 1
    kept_offsets = np.zeros(len(offsets), np.int64)
    np.cumsum(kept_lengths, out=kept_offsets[1:])
    return LatestCodes(kept, visit_numbers[kept] - np.repeat(before, kept_lengths[has_codes]), kept_offsets)
