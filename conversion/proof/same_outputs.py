"""Prove that a model with more tokens computes what one with fewer does, for the tokens that both have."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from command_line.outermost import OK, Told, run_program
from conversion.errors import VerificationFailed
from conversion.patients.sample_patients import make_inputs, random_patients
from conversion.proof.agreement import RULE, compare, real_values
from conversion.proof.forward import FLOAT32, FLOAT64, ForwardConfig, run_forward
from conversion.proof.processes import run_module
from schemas.model_config import BertConfig
from schemas.vocabulary import SpecialTokens

_SEED = 20201001
_INPUTS = "inputs.npz"
_IDS = ("input_ids", "masked_labels")
_COMPARED = ("sequence_output", "pooled_output", "los_log_probs")


def check_same_outputs(
    smaller: str,
    config: BertConfig,
    special: SpecialTokens,
    larger: str,
    ids_in_larger: np.ndarray,
) -> dict[str, Any]:
    """Run both local folders on the same random patients; returns the largest absolute differences.

    config, special: the smaller one's. ids_in_larger: (N,) of the smaller one's N tokens. The masked-code
    log-probabilities are compared among the tokens that both have. Raises VerificationFailed, ProcessFailed.
    """
    patients = random_patients(config, special, len(ids_in_larger), _SEED)
    inputs = make_inputs(patients, special, _SEED)
    real = inputs["attention_mask"].astype(bool)
    translated = {name: ids_in_larger[array] if name in _IDS else array for name, array in inputs.items()}
    both = ids_in_larger.astype(np.int64)
    runs = [(smaller, FLOAT32, inputs), (larger, FLOAT32, translated), (smaller, FLOAT64, inputs)]
    of_smaller, of_larger, exact = (
        real_values(_of_both(outputs, columns), real, config.los_pooling)
        for outputs, columns in zip(_run(runs), (slice(len(both)), both, slice(len(both))), strict=True)
    )
    agreement = compare(of_larger, of_smaller, exact)
    if agreement.failed:
        raise VerificationFailed(
            f"the changed model differs from the old one: {agreement.failed_in_words()}",
            f"for the tokens that both have {RULE}",
            "nothing is written; report it",
        )
    return dict(agreement.differences)


def _of_both(outputs: dict[str, np.ndarray], tokens: slice | np.ndarray) -> dict[str, np.ndarray]:
    """What is compared. tokens: the columns of the masked-code head that both models have."""
    among_both = _normalised(outputs["mlm_log_probs"][:, tokens])
    return {**{name: outputs[name] for name in _COMPARED}, "mlm_log_probs_among_old_tokens": among_both}


def _run(jobs: Sequence[tuple[str, str, dict[str, np.ndarray]]]) -> list[dict[str, np.ndarray]]:
    """What each model computes for its inputs, in one child process.

    jobs: (local folder, variant, inputs).
    """
    with tempfile.TemporaryDirectory(prefix="same-") as scratch:
        arguments: list[str] = []
        for number, (model, variant, inputs) in enumerate(jobs):
            folder = os.path.join(scratch, str(number))
            os.makedirs(folder)
            np.savez(os.path.join(folder, _INPUTS), **inputs)
            arguments += [model, variant, folder]
        run_module("conversion.proof.same_outputs", arguments, "running the old and the changed model")
        outputs = []
        for _, variant, folder in _threes(arguments):
            with np.load(os.path.join(folder, f"{variant}.npz")) as stored:
                outputs.append({name: stored[name] for name in stored.files})
        return outputs


def _run_in_child(arguments: Sequence[str], told: Told) -> int:
    """arguments: model, variant, folder of its inputs and outputs, model, variant, folder, …"""
    for model, variant, folder in _threes(arguments):
        inputs = os.path.join(folder, _INPUTS)
        run_forward(ForwardConfig(model=model, inputs=inputs, outputs=folder, variants=[variant]))
    return OK


def _threes(arguments: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    return zip(arguments[::3], arguments[1::3], arguments[2::3], strict=True)


def _normalised(log_probs: np.ndarray) -> np.ndarray:
    """(M, N) log-probabilities of some tokens → of these among themselves, in float64."""
    wide = log_probs.astype(np.float64)
    return wide - np.logaddexp.reduce(wide, axis=1, keepdims=True)


if __name__ == "__main__":
    sys.exit(run_program(partial(_run_in_child, sys.argv[1:])))
