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

from conversion.errors import VerificationFailed
from conversion.forward import BFLOAT16, ERF_GELU, FLOAT32, VARIANTS
from conversion.processes import run_command, run_module
from conversion.sample_patients import make_inputs, random_patients, real_patients
from conversion.source import Source

TOLERANCE = 2e-5
"""Largest absolute error of any value, in float32."""
SOURCE_COMMAND = (sys.executable, "-m", "trainer", "forward")
"""Runs a checkpoint with the trainer's own graph: a process, as the packages share no code."""
_PER_POSITION = ("embeddings", "layer_", "sequence_output")
_SEED = 20201001
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verification:
    """What the comparison found. Errors: output → largest absolute difference, over real tokens."""

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
    real = real_patients(shards, source.config, len(vocabulary.tokens)) if shards is not None else []
    inputs = make_inputs(random + real, vocabulary.special, _SEED)
    with tempfile.TemporaryDirectory(prefix="verify-") as scratch:
        inputs_path = os.path.join(scratch, "inputs.npz")
        np.savez(inputs_path, **inputs)
        expected = _run_source(source, inputs_path, scratch, source_command)
        found = _run_target(model, inputs_path, scratch)
    mask = inputs["attention_mask"].astype(bool)
    return Verification(
        errors=largest_errors(expected, found[FLOAT32], mask),
        bfloat16_errors=largest_errors(expected, found[BFLOAT16], mask),
        erf_gelu_differences=largest_errors(expected, found[ERF_GELU], mask),
        num_random_patients=len(random),
        num_real_patients=len(real),
        num_codes=int(mask.sum()),
        seconds=time.monotonic() - started,
    )


def largest_errors(
    expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray], attention_mask: np.ndarray
) -> dict[str, float]:
    """Output → largest absolute difference; of outputs by position (B, T, H), over real tokens (B, T) only.

    The found outputs are all compared: one that the source lacks, or has in another shape, is infinitely
    wrong.
    """
    errors = {}
    for name, target in found.items():
        source = expected.get(name)
        if source is None or source.shape != target.shape:
            errors[name] = float("inf")
            continue
        difference = np.abs(source.astype(np.float64) - target)
        if name.startswith(_PER_POSITION):
            difference = difference[attention_mask]
        errors[name] = float(difference.max(initial=0.0))
    return errors


def _run_source(source: Source, inputs: str, scratch: str, command: Sequence[str]) -> dict[str, np.ndarray]:
    config, outputs = os.path.join(scratch, "bert_config.json"), os.path.join(scratch, "source.npz")
    with open(config, "w", encoding="utf-8") as stream:
        stream.write(source.config.to_json())
    arguments = {"--checkpoint": source.path, "--config": config, "--inputs": inputs, "--outputs": outputs}
    run_command([*command, *(part for pair in arguments.items() for part in pair)], "running the checkpoint")
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
