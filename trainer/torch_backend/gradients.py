"""Loss and gradients of a piece of a step on this rank."""

from __future__ import annotations

import torch
import transformers
from torch.nn.functional import cross_entropy

from schemas.bert_names import OUTPUT_BIAS, WORD_EMBEDDINGS
from trainer.core.backend import StepTotals
from trainer.core.input.slots import PackedPiece
from trainer.torch_backend import vocabulary_head
from trainer.torch_backend.dropout import Dropout
from trainer.torch_backend.model import Encoder, look_up_words
from trainer.torch_backend.regions import EAGER, Regions, Watch
from trainer.torch_backend.slots import packed_slots


def step_gradients(
    model: transformers.BertForPreTraining,
    parameters: dict[str, torch.nn.Parameter],
    piece: PackedPiece,
    totals: StepTotals,
    dropout_seed: int,
    precision: torch.dtype = torch.float32,
    watch: Watch | None = None,
    regions: Regions = EAGER,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """(2,) loss sums (masked codes, prolonged stay) and the gradients of a piece of the step's loss.

    parameters: as model.tensorflow_named_parameters gives them; the gradients have the same names and order.
    precision: of the layers; weights, sums, the heads and gradients are float32 in any case, but for what the
    vocabulary head multiplies.
    """
    table, bias = parameters[WORD_EMBEDDINGS], parameters[OUTPUT_BIAS]
    slots = packed_slots(piece, table.device)
    words = look_up_words(model, slots.input_ids).requires_grad_()
    encoder = Encoder(model, Dropout(dropout_seed, table.device), precision, watch, regions)
    encoded = encoder.encode(slots, words)
    los_loss_sum = cross_entropy(encoded.los_logits, slots.prolonged_los, reduction="sum")
    head = vocabulary_head.loss_and_gradients(
        encoded.masked_hidden.detach(),
        table,
        bias,
        slots.masked_labels,
        scale=1 / max(totals.masked_codes, 1),
        precision=precision,
        regions=regions,
    )
    los_objective = los_loss_sum
    if encoded.pooler_logits is not None:
        los_objective = los_objective + cross_entropy(
            encoded.pooler_logits, slots.prolonged_los, reduction="sum"
        )
    others = {name: p for name, p in parameters.items() if name not in (WORD_EMBEDDINGS, OUTPUT_BIAS)}
    word_gradients, *found = torch.autograd.grad(
        outputs=[encoded.masked_hidden, los_objective],
        grad_outputs=[head.hidden, torch.full_like(los_loss_sum, 1 / max(totals.patients, 1))],
        inputs=[words, *others.values()],
        materialize_grads=True,
    )
    head.table.index_add_(0, slots.input_ids, word_gradients)
    gradients = dict(zip(others, found, strict=True)) | {OUTPUT_BIAS: head.bias, WORD_EMBEDDINGS: head.table}
    return torch.stack([head.loss_sum, los_loss_sum.detach()]), {name: gradients[name] for name in parameters}
