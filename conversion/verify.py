"""Prove that a model folder computes what its checkpoint does: run both, a process each, and compare."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from conversion.checkpoints.source import Source
from conversion.errors import VerificationFailed
from conversion.patients.sample_patients import make_inputs, random_patients, real_patients
from conversion.proof.forward import BFLOAT16, ERF_GELU, FLOAT32, VARIANTS
from conversion.proof.processes import run_command, run_module
from schemas.model_config import LosPooling

TOLERANCE = 2e-5
"""Largest absolute error of any value, in float32."""
SOURCE_COMMAND = (sys.executable, "-m", "trainer", "forward")
"""Runs a checkpoint with the trainer's own graph: a process, as the packages share no code."""
_PER_POSITION = ("embeddings", "layer_", "sequence_output")
_SEED = 20201001
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verification:
    """What the comparison found: output → largest absolute difference, as largest_errors measures it."""

    errors: dict[str, float]
    bfloat16_errors: dict[str, float]
    erf_gelu_differences: dict[str, float]
    num_random_patients: int
    num_real_patients: int
    num_codes: int
    seconds: float

    @property
    def failed(self) -> dict[str, float]:
        """Outputs whose error is above the tolerance, or is no number."""
        return {name: error for name, error in self.errors.items() if not error <= TOLERANCE}

    def check(self, where: str) -> None:
        """Raises VerificationFailed, naming every output that differs."""
        if self.failed:
            worst = ", ".join(f"{name} {error:.2e}" for name, error in self.failed.items())
            raise VerificationFailed(
                f"{where} differs from its checkpoint: {worst}",
                f"no value may differ by more than {TOLERANCE:g} in float32",
                "no model folder is written; give the configuration that the checkpoint was trained with",
            )


def verify(
    model: str, source: Source, *, shards: str | None = None, source_command: Sequence[str] = SOURCE_COMMAND
) -> Verification:
    """Run `source` and the local folder `model` on the same patients and compare every layer, head and loss.

    shards: one split's folder; its first patients are compared besides the random ones.
    Raises ContractError, or ProcessFailed when either cannot be run.
    """
    started = time.monotonic()
    vocabulary = source.vocabulary
    random = random_patients(source.config, vocabulary.special, len(vocabulary.tokens), _SEED)
    real = (
        real_patients(shards, source.config, vocabulary, source.max_seq_length) if shards is not None else []
    )
    inputs = make_inputs(random + real, vocabulary.special, _SEED)
    with tempfile.TemporaryDirectory(prefix="verify-") as scratch:
        inputs_path = os.path.join(scratch, "inputs.npz")
        np.savez(inputs_path, **inputs)
        expected = _run_source(source, inputs_path, scratch, source_command)
        found = _run_target(model, inputs_path, scratch)
    mask = inputs["attention_mask"].astype(bool)
    errors = {
        variant: largest_errors(expected, outputs, mask, source.config.los_pooling)
        for variant, outputs in found.items()
    }
    return Verification(
        errors=errors[FLOAT32],
        bfloat16_errors=errors[BFLOAT16],
        erf_gelu_differences=errors[ERF_GELU],
        num_random_patients=len(random),
        num_real_patients=len(real),
        num_codes=int(mask.sum()),
        seconds=time.monotonic() - started,
    )


def largest_errors(
    expected: Mapping[str, np.ndarray],
    found: Mapping[str, np.ndarray],
    attention_mask: np.ndarray,
    los_pooling: LosPooling,
) -> dict[str, float]:
    """Output → largest absolute difference. attention_mask: (B, T), boolean.

    Outputs by position (B, T, H) are compared over real tokens only. A prolonged-stay head that sums over T
    tokens sums their rounding errors, too: its difference is given per real token, as a mean would have it.
    Every found output is compared; one that the source lacks, or has in another shape, is infinitely wrong.
    """
    num_tokens = attention_mask.sum(axis=1)
    errors = {}
    for name, target in found.items():
        source = expected.get(name)
        if source is None or source.shape != target.shape:
            errors[name] = float("inf")
            continue
        difference = np.abs(source.astype(np.float64) - target)
        if name.startswith(_PER_POSITION):
            difference = difference[attention_mask]
        elif los_pooling == "sum" and name == "los_log_probs":
            difference = difference / num_tokens[:, np.newaxis]
        elif los_pooling == "sum" and name == "los_loss":
            difference = difference / num_tokens.mean()
        errors[name] = float(difference.max(initial=0.0))
    return errors


def _run_source(source: Source, inputs: str, scratch: str, command: Sequence[str]) -> dict[str, np.ndarray]:
    outputs = os.path.join(scratch, "source.npz")
    arguments = ["--checkpoint", source.path, "--inputs", inputs, "--outputs", outputs]
    if not source.states_itself:
        config = os.path.join(scratch, "bert_config.json")
        with open(config, "w", encoding="utf-8") as stream:
            stream.write(source.config.to_json())
        arguments += ["--config", config]
    run_command([*command, *arguments], "running the checkpoint")
    return _read(outputs)


def _run_target(model: str, inputs: str, scratch: str) -> dict[str, dict[str, np.ndarray]]:
    outputs = os.path.join(scratch, "target")
    arguments = ["forward", "--model", model, "--inputs", inputs, "--outputs", outputs]
    run_module(
        "conversion", [*arguments, f"--variants=[{','.join(VARIANTS)}]"], "running the converted model"
    )
    return {variant: _read(os.path.join(outputs, f"{variant}.npz")) for variant in VARIANTS}


def _read(path: str) -> dict[str, np.ndarray]:
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}
