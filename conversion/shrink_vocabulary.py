"""`python -m conversion shrink`: a model without the codes that too few patients have."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from conversion.bundle import staged_folder
from conversion.extend_vocabulary import read_counts
from conversion.model_folder import WORD_BIAS, WORDS, open_model, publish_changed, write_changed
from conversion.proof.same_outputs import check_same_outputs
from schemas.errors import ContractError
from schemas.manifest import read_manifest
from schemas.model import KIND
from schemas.vocabulary import KIND as VOCABULARY_KIND
from schemas.vocabulary import SMALL_CELL_MIN_PATIENTS, SpecialTokens

_log = logging.getLogger(__name__)
_CARD = """## Codes dropped

{dropped:,} codes of fewer than {min_patients} patients were dropped from the vocabulary, which now has
{tokens:,} tokens; ids are others than before. Of the codes that are left the encoder's and the
prolonged-stay head's outputs are as they were, and so are the masked-code probabilities among them.
"""


@dataclass(frozen=True, kw_only=True)
class ShrinkConfig:
    """One reduction."""

    model: str
    """The local model folder."""
    vocabulary: str
    """The vocabulary folder that says how many training patients have each code."""
    output: str
    """The model folder to write."""
    min_patients: int = SMALL_CELL_MIN_PATIENTS
    """A code of fewer patients is dropped; so is one that the vocabulary folder lacks."""


def shrink(config: ShrinkConfig) -> dict[str, Any]:
    """Drop, prove the other outputs equal, publish; returns what was dropped. Raises ContractError."""
    model, counts = open_model(config.model), read_counts(config.vocabulary)
    vocabulary = read_manifest(config.vocabulary, VOCABULARY_KIND)
    enough = {token for token, count in counts.items() if count.patients >= config.min_patients}
    kept = [i for i, token in enumerate(model.tokens) if i in model.special.ids or token in enough]
    dropped = len(model.tokens) - len(kept)
    if len(kept) == len(model.special.ids):
        raise ContractError(
            f"no code of {config.model} has {config.min_patients} patients in {config.vocabulary}",
            "a model knows some code",
            "give the vocabulary that it was trained with, or a lower --min_patients",
        )
    new_id = {old: new for new, old in enumerate(kept)}
    special = SpecialTokens(
        **{role: None if old is None else new_id[old] for role, old in vars(model.special).items()}
    )
    arrays = model.read_arrays()
    tokens = tuple(model.tokens[i] for i in kept)
    change: dict[str, Any] = {
        "change": "shrink",
        "vocabulary_fingerprint": vocabulary.fingerprint,
        "min_patients": config.min_patients,
        "dropped": dropped,
        "tokens": len(tokens),
    }
    with staged_folder(config.output, KIND) as staging:
        fewer = {**arrays, WORDS: arrays[WORDS][kept], WORD_BIAS: arrays[WORD_BIAS][kept]}
        write_changed(staging, model, fewer, tokens, special)
        small_config = replace(model.config, vocab_size=len(tokens))
        change["differences_for_old_tokens"] = check_same_outputs(
            staging, small_config, special, config.model, np.asarray(kept, np.int32)
        )
        section = _CARD.format(dropped=dropped, min_patients=config.min_patients, tokens=len(tokens))
        inputs = {"counted_in": vocabulary.fingerprint}
        publish_changed(staging, model, special, change, section, inputs, model.code_maps)
    _log.info("%s: %d codes dropped, %d tokens left", config.output, dropped, len(tokens))
    return change
