"""A model folder's encoder on blocks of patients: PyTorch on any device, or, exported, onnxruntime."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np

from conversion.patients.patient_blocks import Block
from schemas.manifest import join
from schemas.onnx_model import INPUT_NAMES, ONNX_FILE

Pooling = Literal["mean", "first"]


class Encoder(Protocol):
    """Blocks to vectors."""

    def encode(self, block: Block) -> np.ndarray:
        """(B, H) float32, one vector a patient."""


class TorchEncoder:
    """transformers' own model. Half precision is for GPUs."""

    def __init__(
        self, model: str, device: str, precision: str, threads: int | None, pooling: Pooling
    ) -> None:
        import torch
        from transformers import AutoModel
        from transformers.utils import logging as transformers_logging

        # It would list the heads, which an encoder has no place for.
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        if threads is not None:
            torch.set_num_threads(threads)
        self._torch = torch
        self._pooling = pooling
        self._device = torch.device(device)
        self._model: Any = AutoModel.from_pretrained(
            model, local_files_only=True, dtype=getattr(torch, precision), add_pooling_layer=False
        )
        self._model.to(self._device).eval()

    def encode(self, block: Block) -> np.ndarray:
        torch = self._torch
        with torch.inference_mode():
            mask = torch.from_numpy(block.attention_mask).to(self._device)
            output = self._model(
                torch.from_numpy(block.input_ids).to(self._device),
                # All of one length: without a mask the attention kernels are faster.
                attention_mask=None if block.lengths[0] == block.lengths[-1] else mask,
                token_type_ids=torch.from_numpy(block.visit_numbers).to(self._device),
            ).last_hidden_state.float()
            if self._pooling == "first":
                return output[:, 0].cpu().numpy()
            real = mask.unsqueeze(-1).float()
            return ((output * real).sum(1) / real.sum(1)).cpu().numpy()


class OnnxEncoder:
    """The exported encoder, on the CPU."""

    def __init__(self, onnx_folder: str, threads: int | None, pooling: Pooling) -> None:
        import onnxruntime

        self._pooling = pooling
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        # Threads that wait for work let others have the core.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            join(onnx_folder, ONNX_FILE), options, providers=["CPUExecutionProvider"]
        )

    def encode(self, block: Block) -> np.ndarray:
        mask = block.attention_mask
        arrays = (block.input_ids, mask, block.visit_numbers)
        (output,) = self._session.run(["sequence_output"], dict(zip(INPUT_NAMES, arrays, strict=True)))
        if self._pooling == "first":
            return output[:, 0]
        real = mask[:, :, np.newaxis].astype(np.float32)
        return (output * real).sum(1) / real.sum(1)
