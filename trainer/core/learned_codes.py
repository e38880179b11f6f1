"""What a model has learned about single codes, as far as it may be shown (schemas.learned_codes)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schemas.learned_codes import (
    MOST_CODES,
    MOST_CONFUSIONS,
    MOST_NEIGHBOURS,
    Confusion,
    LearnedCodes,
    Neighbour,
    Neighbourhood,
)
from schemas.small_cells import publishable
from schemas.vocabulary import SMALL_CELL_MIN_PATIENTS
from trainer.core.confusions import Confusions


def learned_codes(
    step: int, tokens: Sequence[str], patients: np.ndarray, confusions: Confusions, embeddings: np.ndarray
) -> LearnedCodes:
    """patients: (V,) who have each code, 0 for special tokens; embeddings: (V, H), one row a token."""
    may_be_named = patients >= SMALL_CELL_MIN_PATIENTS
    return LearnedCodes(
        step,
        tuple(_confusions(tokens, may_be_named, confusions)),
        tuple(_neighbourhoods(tokens, patients, may_be_named, embeddings)),
    )


def _confusions(tokens: Sequence[str], may_be_named: np.ndarray, found: Confusions) -> list[Confusion]:
    shown = may_be_named[found.codes] & may_be_named[found.predicted]
    shown &= found.patients >= SMALL_CELL_MIN_PATIENTS
    commonest = np.flatnonzero(shown)[np.argsort(-found.patients[shown], kind="stable")][:MOST_CONFUSIONS]
    return [
        Confusion(
            tokens[found.codes[place]],
            tokens[found.predicted[place]],
            _to_tens(found.patients[place]),
            _to_tens(found.patients_masked[found.codes[place]]),
        )
        for place in commonest.tolist()
    ]


def _neighbourhoods(
    tokens: Sequence[str], patients: np.ndarray, may_be_named: np.ndarray, embeddings: np.ndarray
) -> list[Neighbourhood]:
    named = np.flatnonzero(may_be_named)
    commonest = np.argsort(-patients[named], kind="stable")[:MOST_CODES]
    directions = embeddings[named].astype(np.float32)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    cosines = directions[commonest] @ directions.T  # (20, N)
    cosines[np.arange(len(commonest)), commonest] = -np.inf  # not its own neighbour
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, : min(MOST_NEIGHBOURS, len(named) - 1)]
    return [
        Neighbourhood(
            tokens[named[code]],
            tuple(Neighbour(tokens[named[near]], round(float(row[near]), 4)) for near in nearest[place]),
        )
        for place, (code, row) in enumerate(zip(commonest, cosines, strict=True))
    ]


def _to_tens(patients: np.integer) -> int:
    shown = publishable(int(patients), int(patients))
    assert shown is not None
    return shown
