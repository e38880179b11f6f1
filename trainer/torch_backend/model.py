"""transformers' BertForPreTraining, run block by block with its vocabulary head kept apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import transformers

from schemas.bert_names import Operation, rows_for
from schemas.model_config import BertConfig
from trainer.core.batch import MaskedBatch


class Block(NamedTuple):
    """One block as tensors on the device; shapes as in trainer.core.batch.MaskedBatch."""

    input_ids: torch.Tensor
    """(B, T) int64"""
    visit_numbers: torch.Tensor
    """(B, T) int64"""
    real: torch.Tensor
    """(B, T) bool: slots that hold a code; at least one in a row"""
    masked_positions: torch.Tensor
    """(M,) int64"""
    masked_labels: torch.Tensor
    """(M,) int64"""
    prolonged_los: torch.Tensor
    """(B,) int64"""


class Encoded(NamedTuple):
    """What the two heads make of one block."""

    masked_hidden: torch.Tensor
    """(M, H): what the vocabulary head multiplies with the word embeddings"""
    los_logits: torch.Tensor
    """(B, 2)"""
    layers: tuple[torch.Tensor, ...]
    """(B, T, H) each: the embeddings, then every layer's output"""
    pooled_output: torch.Tensor | None
    """(B, H): the pooler's output for the first token, unless the LOS head does not read it"""

    def in_float32(self) -> Encoded:
        """What the heads read, in float32 whatever the matrix products were in."""
        return self._replace(masked_hidden=self.masked_hidden.float(), los_logits=self.los_logits.float())


def build_model(config: BertConfig) -> transformers.BertForPreTraining:
    """The modules, with weights yet to be set."""
    return transformers.BertForPreTraining(
        transformers.BertConfig(
            **config.to_dict(),
            # A padding id would stop the gradient of that token: wrong where [MASK] and [PAD] share an id.
            pad_token_id=None,
            attn_implementation="sdpa",
        )
    )


def to_block(batch: MaskedBatch, device: torch.device) -> Block:
    length = batch.input_ids.shape[1]
    real = np.arange(length) < np.maximum(batch.lengths, 1)[:, None]
    arrays = (
        batch.input_ids, batch.visit_numbers, real,
        batch.masked_positions, batch.masked_labels, batch.prolonged_los,
    )  # fmt: skip
    return Block(*(to_tensor(array, device) for array in arrays))


def to_tensor(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """A bool or int64 tensor."""
    plain = torch.from_numpy(np.ascontiguousarray(array, dtype=bool if array.dtype == bool else np.int64))
    if device.type == "cuda":
        plain = plain.pin_memory()  # without this the copy would wait for the GPU
    return plain.to(device, non_blocking=True)


def look_up_words(model: transformers.BertForPreTraining, input_ids: torch.Tensor) -> torch.Tensor:
    """(B, T, H) word embeddings, cut off from the embedding table.

    The tied vocabulary head makes the table's gradient dense already, and these slots' share is added to it
    in place (gradients.py), not as a second array of the table's size.
    """
    table = model.bert.embeddings.word_embeddings.weight.detach()
    return torch.nn.functional.embedding(input_ids, table)


def encode(model: transformers.BertForPreTraining, block: Block, words: torch.Tensor) -> Encoded:
    """Run one block, B ≥ 1, up to both heads. Dropout is on where the model is in training mode."""
    bert, heads = model.bert, model.cls
    hidden = bert.embeddings(inputs_embeds=words, token_type_ids=block.visit_numbers)
    layers = [hidden]
    visible = block.real[:, None, None, :]
    for layer in bert.encoder.layer:
        hidden = layer(hidden, visible)
        layers.append(hidden)
    masked = hidden.reshape(-1, hidden.shape[-1])[block.masked_positions]
    pooled_output = None
    if model.config.los_pooling == "first":
        pooled = pooled_output = bert.pooler(hidden)
    else:
        real = block.real[:, :, None].to(hidden.dtype)
        pooled = (hidden * real).sum(dim=1)
        if model.config.los_pooling == "mean":
            pooled = pooled / real.sum(dim=1)
    return Encoded(
        heads.predictions.transform(masked), heads.seq_relationship(pooled), tuple(layers), pooled_output
    )


def tensorflow_named_parameters(
    model: transformers.BertForPreTraining, config: BertConfig
) -> dict[str, torch.nn.Parameter]:
    """Every trained parameter under BERT's TensorFlow name, in the order of the network."""
    parameters = dict(model.named_parameters())
    return {row.tensorflow: parameters[row.transformers] for row in rows_for(config.num_hidden_layers)}


def from_tensorflow(weights: dict[str, np.ndarray], config: BertConfig) -> dict[str, torch.Tensor]:
    """TensorFlow names and layouts → transformers'."""
    return {
        row.transformers: torch.from_numpy(
            weights[row.tensorflow].T if row.operation is Operation.TRANSPOSE else weights[row.tensorflow]
        )
        for row in rows_for(config.num_hidden_layers)
    }


def to_tensorflow(tensors: dict[str, torch.Tensor], config: BertConfig) -> dict[str, np.ndarray]:
    """transformers' names and layouts → TensorFlow's, copied."""
    arrays = {name: np.array(tensor.detach().cpu()) for name, tensor in tensors.items()}
    return {
        row.tensorflow: (
            arrays[row.transformers].T if row.operation is Operation.TRANSPOSE else arrays[row.transformers]
        )
        for row in rows_for(config.num_hidden_layers)
    }
