"""Prove that a model folder computes what its checkpoint does: run both, a process each, and compare."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from conversion.checkpoints.source import Source
from conversion.errors import VerificationFailed
from conversion.patients.sample_patients import make_inputs, random_patients, real_patients
from conversion.proof.agreement import RULE, Agreement, compare, largest_differences, real_values
from conversion.proof.forward import BFLOAT16, ERF_GELU, FLOAT32, FLOAT64, variants_of
from conversion.proof.processes import run_command, run_module

SOURCE_COMMAND = (sys.executable, "-m", "trainer", "forward")
"""Runs a checkpoint with the trainer's own graph: a process, as the packages share no code."""
_SEED = 20201001
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verification:
    """What the comparison found: of float32 against its limits, and the differences of two other variants.

    bfloat16_errors, erf_gelu_differences: output → largest absolute difference; the latter is empty for a
    network without GELU.
    """

    agreement: Agreement
    bfloat16_errors: dict[str, float]
    erf_gelu_differences: dict[str, float]
    num_random_patients: int
    num_real_patients: int
    num_codes: int
    seconds: float

    def check(self, where: str) -> None:
        """Raises VerificationFailed, naming every output that differs."""
        if self.agreement.failed:
            raise VerificationFailed(
                f"{where} differs from its checkpoint: {self.agreement.failed_in_words()}",
                RULE,
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
        found = _run_target(model, inputs_path, scratch, variants_of(source.config))
    mask, pooling = inputs["attention_mask"].astype(bool), source.config.los_pooling
    expected = real_values(expected, mask, pooling)
    found = {variant: real_values(outputs, mask, pooling) for variant, outputs in found.items()}
    return Verification(
        agreement=compare(expected, found[FLOAT32], found[FLOAT64]),
        bfloat16_errors=largest_differences(expected, found[BFLOAT16]),
        erf_gelu_differences=largest_differences(expected, found.get(ERF_GELU, {})),
        num_random_patients=len(random),
        num_real_patients=len(real),
        num_codes=int(mask.sum()),
        seconds=time.monotonic() - started,
    )


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


def _run_target(
    model: str, inputs: str, scratch: str, variants: Sequence[str]
) -> dict[str, dict[str, np.ndarray]]:
    outputs = os.path.join(scratch, "target")
    arguments = ["forward", "--model", model, "--inputs", inputs, "--outputs", outputs]
    run_module(
        "conversion", [*arguments, f"--variants=[{','.join(variants)}]"], "running the converted model"
    )
    return {variant: _read(os.path.join(outputs, f"{variant}.npz")) for variant in variants}


def _read(path: str) -> dict[str, np.ndarray]:
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}
