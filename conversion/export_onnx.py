"""`python -m conversion export-onnx`: a model folder's encoder for onnxruntime, proven equal.

PyTorch's exporter on torch.export is used (dynamo=True). Its older one, on TorchScript, gave a graph of
wrong values without a word: errors of up to 3 in the encoder's output, measured with torch 2.13 and
transformers 5.23.
"""

from __future__ import annotations

import copy
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from conversion.bundle import staged_folder
from conversion.errors import VerificationFailed
from conversion.folder_content import folder_content, write_files
from conversion.model_folder import ModelFolder, open_model
from conversion.proof.agreement import RULE, compare, real_values
from schemas.manifest import Manifest, describe_file, publish_manifest
from schemas.model import CONFIG_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE
from schemas.onnx_model import EXPORT_REPORT_FILE, INPUT_NAMES, KIND, ONNX_FILE, OUTPUT_NAMES
from schemas.vocabulary import VOCAB_FILE

COPIED = (CONFIG_FILE, TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, VOCAB_FILE, "encode_patient.py")
_SEED = 20201001
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ExportOnnxConfig:
    """One export."""

    model: str
    """The local model folder."""
    output: str
    """The folder to write; an older one of its kind there is replaced."""


def export_onnx(config: ExportOnnxConfig) -> dict[str, Any]:
    """Export, run both on batches of several shapes, publish; returns the report.

    Raises ContractError: VerificationFailed where they differ, and then nothing is written.
    """
    model = open_model(config.model)
    with staged_folder(config.output, KIND) as staging:
        path = os.path.join(staging, ONNX_FILE)
        encoder = _encoder(config.model)
        _export(encoder, model, path)
        report = _compare(encoder, model, path)
        content = folder_content(model.config, model.max_seq_length, model.tokens, model.special)
        write_files(staging, {name: content[name] for name in COPIED})
        names = sorted(os.listdir(staging))
        with open(os.path.join(staging, EXPORT_REPORT_FILE), "w", encoding="utf-8") as stream:
            stream.write(json.dumps(report, indent=2) + "\n")
        manifest = Manifest(
            kind=KIND,
            inputs={"model": model.manifest.fingerprint},
            files=tuple(describe_file(staging, name, 0) for name in names),
            details={"special_tokens": vars(model.special)},
        )
        publish_manifest(staging, manifest)
    _log.info("%s: exported, largest difference %.1e", config.output, report["max_abs_error"])
    return report


def _encoder(folder: str) -> Any:
    """The encoder with its outputs as a tuple, which is what the exporter takes."""
    import torch
    from transformers import AutoModel

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32)

        def forward(
            self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            encoded = self.bert(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
            return encoded.last_hidden_state, encoded.pooler_output

    return Encoder().eval()


def _export(encoder: Any, model: ModelFolder, path: str) -> None:
    import torch

    for library in ("onnxscript", "onnx_ir"):  # their notes on each graph pass
        logging.getLogger(library).setLevel(logging.WARNING)

    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    # An example of a size that is neither 1 nor the longest: those would become constants of the graph.
    example = next(iter(_batches(model, [(3, max(2, model.config.max_position_embeddings // 2))])))
    torch.onnx.export(
        encoder,
        tuple(torch.from_numpy(example[name]) for name in INPUT_NAMES),
        path,
        dynamo=True,
        input_names=list(INPUT_NAMES),
        output_names=list(OUTPUT_NAMES),
        dynamic_shapes={name: {0: batch, 1: length} for name in INPUT_NAMES},
        external_data=False,
        verbose=False,
    )


def _batches(model: ModelFolder, shapes: list[tuple[int, int]]) -> Iterator[dict[str, np.ndarray]]:
    """Random inputs (B, T) of these shapes; the first patient has T codes, the others fewer."""
    rng = np.random.default_rng(_SEED)
    first_code = min(model.special.first_code_id, len(model.tokens) - 1)
    for rows, width in shapes:
        lengths = rng.integers(1, width + 1, rows)
        lengths[0] = width
        mask = (np.arange(width) < lengths[:, np.newaxis]).astype(np.int64)
        ids = rng.integers(first_code, len(model.tokens), (rows, width))
        visits = rng.integers(0, model.config.type_vocab_size, (rows, width))
        inputs = (np.where(mask, ids, model.special.pad), mask, np.sort(visits) * mask)
        yield dict(zip(INPUT_NAMES, inputs, strict=True))


def _compare(encoder: Any, model: ModelFolder, path: str) -> dict[str, Any]:
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    longest = model.config.max_position_embeddings
    shapes = [(1, 1), (1, longest), (4, longest), (7, max(1, longest // 3)), (2, min(5, longest))]
    runs: list[list[dict[str, np.ndarray]]] = []
    exact_encoder = copy.deepcopy(encoder).double()
    for inputs in _batches(model, shapes):
        mask = inputs["attention_mask"].astype(bool)
        tensors = [torch.from_numpy(inputs[name]) for name in INPUT_NAMES]
        with torch.inference_mode():
            expected, exact = encoder(*tensors), exact_encoder(*tensors)
        runs.append(
            [
                real_values(dict(zip(OUTPUT_NAMES, map(np.asarray, outputs), strict=True)), mask, "first")
                for outputs in (session.run(list(OUTPUT_NAMES), inputs), expected, exact)
            ]
        )
    exported, expected, exact = (
        {name: np.concatenate([outputs[name] for outputs in run]) for name in OUTPUT_NAMES}
        for run in zip(*runs, strict=True)
    )
    agreement = compare(exported, expected, exact)
    if agreement.failed:
        raise VerificationFailed(
            f"the exported encoder differs from the model: {agreement.failed_in_words()}",
            RULE,
            "nothing is written; report it with the versions of torch, onnx and onnxruntime",
        )
    return {
        "max_abs_error": max(agreement.differences.values()),
        "differences": dict(agreement.differences),
        "limits": dict(agreement.limits),
        "shapes": [f"{rows} x {width}" for rows, width in shapes],
        "bytes": os.path.getsize(path),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
    }
