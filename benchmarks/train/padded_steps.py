"""(d) As the original ran: every patient padded to the full length, the vocabulary head on masked codes only.

The original is TensorFlow 1; this is its computation in PyTorch: plain automatic differentiation of
transformers' modules and PyTorch's AdamW, nothing of our backend's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import transformers
from torch.nn.functional import cross_entropy

from benchmarks.train.device import torch_device
from benchmarks.train.padded import PaddedBatch, pad
from benchmarks.train.recorder import Recorder
from benchmarks.train.setup import Setting, options_parser, plan_of, run_steps, setting_of, write_result
from trainer.core.input.batch import MaskedBatch
from trainer.torch_backend.model import build_model
from trainer.torch_backend.slots import to_tensor


class Outputs(NamedTuple):
    """scores (M, V), labels (M,), los_logits (B, 2), prolonged_los (B,)"""

    scores: torch.Tensor
    labels: torch.Tensor
    los_logits: torch.Tensor
    prolonged_los: torch.Tensor


def run_padded(model: transformers.BertForPreTraining, padded: PaddedBatch, device: torch.device) -> Outputs:
    """transformers' modules, scores of the masked codes only."""
    arrays = (
        padded.input_ids, padded.visit_numbers, padded.real,
        padded.masked_slots, padded.masked_labels, padded.prolonged_los,
    )  # fmt: skip
    input_ids, visit_numbers, seen, masked, labels, prolonged_los = (
        to_tensor(array, device) for array in arrays
    )
    hidden, pooled = model.bert(
        input_ids=input_ids, token_type_ids=visit_numbers, attention_mask=seen, return_dict=False
    )
    scores, los_logits = model.cls(hidden.flatten(0, 1)[masked], pooled)
    return Outputs(scores, labels, los_logits, prolonged_los)


class PaddedTraining:
    """The model, its optimiser and a step of both."""

    def __init__(self, setting: Setting, device: torch.device) -> None:
        options = setting.config.optimizer
        self._device, self._clip_norm = device, options.clip_norm
        self._width, self._pad_id = setting.config.data.max_seq_length, setting.pad_id
        self._model = build_model(setting.model).to(device).train()
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(),
            lr=options.learning_rate,
            betas=(options.beta_1, options.beta_2),
            eps=options.epsilon,
            weight_decay=options.weight_decay,
        )

    def pack(self, batch: MaskedBatch) -> PaddedBatch:
        """In the input's thread."""
        return pad(batch, self._pad_id, self._width)

    def __call__(self, step_input: Any, step: int) -> None:
        outputs = run_padded(self._model, step_input.packed, self._device)
        loss = cross_entropy(outputs.scores, outputs.labels)
        loss = loss + cross_entropy(outputs.los_logits, outputs.prolonged_los)
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._clip_norm)
        self._optimizer.step()
        assert np.isfinite(loss.item()), "the loss is not finite"


def main() -> None:
    options = options_parser(__doc__ or "").parse_args()
    setting = setting_of(options)
    device = torch_device()
    recorder = Recorder(plan_of(options), device.synchronise)
    training = PaddedTraining(setting, torch.device("cuda" if device.on_gpu else "cpu"))
    run_steps(setting, recorder, training, training.pack)
    write_result(options, recorder.summary() | device.to_json())


if __name__ == "__main__":
    main()
