"""`python -m conversion extend-vocabulary`: a model that knows another database's codes, too.

Codes that the model lacks are appended, each beginning as the mean of its nearest relatives (E11.65: of E11.6
and the codes beside it). What the model computes for the old codes stays.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from conversion.bundle import staged_folder
from conversion.model_folder import WORD_BIAS, WORDS, ModelFolder, open_model, publish_changed, write_changed
from conversion.proof.same_outputs import check_same_outputs
from conversion.tokens.code_relatives import LEVELS, Relatives
from schemas.applied_maps import maps_in_words, of_both
from schemas.manifest import read_manifest
from schemas.model import KIND
from schemas.parquet import open_named_parquet
from schemas.vocabulary import KIND as VOCABULARY_KIND
from schemas.vocabulary import SMALL_CELL_MIN_PATIENTS, TABLE_FILE, Vocabulary, read_vocabulary

_log = logging.getLogger(__name__)
_CARD = """## Codes added

{added:,} codes of another database were added to the vocabulary, which now has {tokens:,} tokens. They have
not been trained: each began as the mean of its nearest relatives in the classification. {maps}{coverage} Of
the old codes the encoder's and the prolonged-stay head's outputs are as they were, and so are the masked-code
probabilities among old codes.
"""


@dataclass(frozen=True, kw_only=True)
class ExtendConfig:
    """One extension."""

    model: str
    """The local model folder to extend."""
    vocabulary: str
    """The other database's vocabulary folder; one made with EXTEND of the model's own keeps its ids."""
    output: str
    """The model folder to write."""
    min_patients: int = SMALL_CELL_MIN_PATIENTS
    """A code that fewer training patients of the other database have is not added (0: all are)."""


def extend_vocabulary(config: ExtendConfig) -> dict[str, Any]:
    """Extend, prove the old outputs equal, publish; returns what was added. Raises ContractError."""
    model, other = open_model(config.model), read_vocabulary(config.vocabulary)
    counts = read_counts(config.vocabulary)
    codes = _codes(other)
    added = [
        code for code in codes if code not in model.codes and counts[code].patients >= config.min_patients
    ]
    arrays, levels = _with_rows(model, added)
    tokens = (*model.tokens, *added)
    change: dict[str, Any] = {
        "change": "extend",
        "vocabulary_fingerprint": other.fingerprint,
        "min_patients": config.min_patients,
        "added": len(added),
        "begun_as_the_mean_of": {level: levels[level] for level in LEVELS if levels[level]},
        "tokens": len(tokens),
        "ids_are_the_vocabularys": tokens[: len(other.tokens)] == other.tokens,
        "coverage": coverage(codes, counts, set(model.codes), set(added)),
    }
    with staged_folder(config.output, KIND) as staging:
        write_changed(staging, model, arrays, tokens, model.special)
        change["differences_for_old_tokens"] = check_same_outputs(
            config.model, model.config, model.special, staging, np.arange(len(model.tokens), dtype=np.int32)
        )
        section = _CARD.format(
            added=len(added),
            tokens=len(tokens),
            maps=f"There, codes were {maps_in_words(other.code_maps)}. " if other.code_maps else "",
            coverage=_in_words(change["coverage"]),
        )
        inputs = {"extended_with": other.fingerprint}
        code_maps = of_both(model.code_maps, other.code_maps)
        publish_changed(staging, model, model.special, change, section, inputs, code_maps)
    _log.info("%s: %d codes added. %s", config.output, len(added), _in_words(change["coverage"]))
    return change


@dataclass(frozen=True)
class CodeCounts:
    """Of a code: patients of the training split, and rows of theirs."""

    patients: int
    occurrences: int


def read_counts(vocabulary: str) -> dict[str, CodeCounts]:
    """Token → its counts in a vocabulary folder. Raises ContractError."""
    manifest = read_manifest(vocabulary, VOCABULARY_KIND)
    rows = open_named_parquet(vocabulary, manifest, TABLE_FILE).read().to_pylist()
    return {row["token"]: CodeCounts(row["num_patients"], row["num_occurrences"]) for row in rows}


def coverage(
    codes: Sequence[str], counts: Mapping[str, CodeCounts], known: set[str], added: set[str]
) -> dict[str, dict[str, float]]:
    """Share of the other database's codes, and of its rows (0 where it has no counts), before and after."""
    rows = sum(counts[code].occurrences for code in codes)

    def shares(tokens: set[str]) -> dict[str, float]:
        found = [code for code in codes if code in tokens]
        occurrences = sum(counts[code].occurrences for code in found)
        return {"codes": len(found) / max(len(codes), 1), "rows": occurrences / rows if rows else 0.0}

    return {"before": shares(known), "after": shares(known | added)}


def _codes(vocabulary: Vocabulary) -> list[str]:
    special = vocabulary.special.ids
    return [token for token_id, token in enumerate(vocabulary.tokens) if token_id not in special]


def _with_rows(model: ModelFolder, added: Sequence[str]) -> tuple[dict[str, np.ndarray], Counter[str]]:
    """The model's arrays with a row for each added code, and how many rows began as which relatives' mean."""
    arrays = model.read_arrays()
    relatives, levels = Relatives(model.codes), Counter[str]()
    words, bias = arrays[WORDS], arrays[WORD_BIAS]
    first = len(model.tokens)
    num_rows = max(len(words), first + len(added))  # an imported vocabulary may have rows without a token
    new_words = np.concatenate([words, np.zeros((num_rows - len(words), words.shape[1]), words.dtype)])
    new_bias = np.concatenate([bias, np.zeros(num_rows - len(bias), bias.dtype)])
    for row, code in enumerate(added, first):
        level, ids = relatives.nearest(code)
        levels[level] += 1
        new_words[row], new_bias[row] = words[ids].mean(axis=0), bias[ids].mean()
    return {**arrays, WORDS: new_words, WORD_BIAS: new_bias}, levels


def _in_words(shares: Mapping[str, Mapping[str, float]]) -> str:
    before, after = shares["before"], shares["after"]
    return (
        f"Of the other database's codes {before['codes']:.1%} were known and {after['codes']:.1%} are now, "
        f"of its diagnosis rows {before['rows']:.1%} and {after['rows']:.1%}."
    )
