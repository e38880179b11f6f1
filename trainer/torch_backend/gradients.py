"""One step's loss and gradients on this rank."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import transformers

from schemas.bert_names import OUTPUT_BIAS, WORD_EMBEDDINGS
from trainer.core.backend import StepTotals
from trainer.core.batch import MaskedBatch
from trainer.torch_backend import vocabulary_head
from trainer.torch_backend.model import Encoded, encode, look_up_words, to_block


def step_gradients(
    model: transformers.BertForPreTraining,
    parameters: dict[str, torch.nn.Parameter],
    blocks: Sequence[MaskedBatch],
    totals: StepTotals,
    dropout_seeds: Sequence[int],
    precision: torch.dtype = torch.float32,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """(2,) loss sums (masked codes, prolonged stay) and the gradients of this rank's part of the step's loss.

    parameters: as model.tensorflow_named_parameters gives them; the gradients have the same names and order.
    precision: of the matrix products; weights, sums, softmax and gradients are float32 in any case.
    dropout_seeds: one a block. Blocks without patients are skipped; with no block left the gradients are 0.
    """
    table, bias = parameters[WORD_EMBEDDINGS], parameters[OUTPUT_BIAS]
    model.train()
    encoded: list[Encoded] = []
    words: list[torch.Tensor] = []
    word_ids: list[torch.Tensor] = []
    labels = [torch.empty(0, dtype=torch.int64, device=table.device)]
    los_loss_sum = torch.zeros((), device=table.device)
    for batch, dropout_seed in zip(blocks, dropout_seeds, strict=True):
        if not len(batch.lengths):
            continue
        block = to_block(batch, table.device)
        torch.manual_seed(dropout_seed)
        words.append(look_up_words(model, block.input_ids).requires_grad_())
        word_ids.append(block.input_ids)
        with torch.autocast(table.device.type, precision, enabled=precision != torch.float32):
            encoded.append(encode(model, block, words[-1]).in_float32())
        labels.append(block.masked_labels)
        los_loss_sum = los_loss_sum + torch.nn.functional.cross_entropy(
            encoded[-1].los_logits, block.prolonged_los, reduction="sum"
        )

    # One pass of the vocabulary head for all blocks: it costs the table's size, whatever is masked.
    masked_hidden = [one.masked_hidden for one in encoded]
    head = vocabulary_head.loss_and_gradients(
        torch.cat([table.new_empty(0, table.shape[1]), *masked_hidden]).detach(),
        table,
        bias,
        torch.cat(labels),
        scale=1 / max(totals.masked_codes, 1),
        precision=precision,
    )
    gradients = {name: torch.zeros(0) for name in parameters}
    others = {name: p for name, p in parameters.items() if name not in (WORD_EMBEDDINGS, OUTPUT_BIAS)}
    if encoded:
        found = torch.autograd.grad(
            outputs=[*masked_hidden, los_loss_sum],
            grad_outputs=[
                *head.hidden.split([len(part) for part in masked_hidden]),
                torch.full_like(los_loss_sum, 1 / max(totals.patients, 1)),
            ],
            inputs=[*words, *others.values()],
            materialize_grads=True,
        )
    else:
        found = tuple(torch.zeros_like(parameter) for parameter in others.values())
    gradients |= dict(zip(others, found[len(words) :], strict=True))
    gradients[OUTPUT_BIAS] = head.bias
    gradients[WORD_EMBEDDINGS] = head.table
    for ids, gradient in zip(word_ids, found, strict=False):
        head.table.index_add_(0, ids.flatten(), gradient.flatten(0, 1))
    return torch.stack([head.loss_sum, los_loss_sum.detach()]), gradients
