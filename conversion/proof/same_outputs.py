"""Prove that a model with more tokens computes what one with fewer does, for the tokens that both have."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from conversion.errors import VerificationFailed
from conversion.patients.sample_patients import make_inputs, random_patients
from conversion.proof.forward import FLOAT32, ForwardConfig, run_forward
from conversion.proof.processes import run_module
from conversion.verify import TOLERANCE
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
    of_smaller, of_larger = _run([(smaller, inputs), (larger, translated)])
    errors = {}
    for name in _COMPARED:
        difference = np.abs(of_smaller[name] - of_larger[name])
        errors[name] = float((difference[real] if name == "sequence_output" else difference).max())
    both = ids_in_larger.astype(np.int64)
    among_both = _normalised(of_smaller["mlm_log_probs"][:, : len(both)])
    found = _normalised(of_larger["mlm_log_probs"][:, both])
    errors["mlm_log_probs_among_old_tokens"] = float(np.abs(among_both - found).max())
    worst = max(errors.values())
    if not worst <= TOLERANCE:
        raise VerificationFailed(
            f"the changed model differs from the old one by {worst:.2e}",
            f"for the tokens that both have no output may differ by more than {TOLERANCE:g}",
            "nothing is written; report it",
        )
    return errors


def _run(jobs: Sequence[tuple[str, dict[str, np.ndarray]]]) -> list[dict[str, np.ndarray]]:
    """What each model computes for its inputs, in one child process. jobs: (local folder, inputs)."""
    with tempfile.TemporaryDirectory(prefix="same-") as scratch:
        folders = [os.path.join(scratch, str(number)) for number in range(len(jobs))]
        for folder, (_, inputs) in zip(folders, jobs, strict=True):
            os.makedirs(folder)
            np.savez(os.path.join(folder, _INPUTS), **inputs)
        arguments = [
            path for folder, (model, _) in zip(folders, jobs, strict=True) for path in (model, folder)
        ]
        run_module("conversion.proof.same_outputs", arguments, "running the old and the changed model")
        outputs = []
        for folder in folders:
            with np.load(os.path.join(folder, f"{FLOAT32}.npz")) as stored:
                outputs.append({name: stored[name] for name in stored.files})
        return outputs


def _run_in_child(arguments: Sequence[str]) -> None:
    """arguments: model, folder of its inputs and outputs, model, folder, …"""
    for model, folder in zip(arguments[::2], arguments[1::2], strict=True):
        run_forward(ForwardConfig(model=model, inputs=os.path.join(folder, _INPUTS), outputs=folder))


def _normalised(log_probs: np.ndarray) -> np.ndarray:
    """(M, N) log-probabilities of some tokens → of these among themselves, in float64."""
    wide = log_probs.astype(np.float64)
    return wide - np.logaddexp.reduce(wide, axis=1, keepdims=True)


if __name__ == "__main__":
    _run_in_child(sys.argv[1:])
