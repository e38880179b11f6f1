"""transformers' BertForPreTraining: its parameters, run over a flat array of slots."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import transformers
from torch.nn.functional import embedding, linear

from schemas.bert_names import Operation, rows_for
from schemas.model_config import BertConfig
from trainer.torch_backend.attention import attend
from trainer.torch_backend.dropout import Dropout
from trainer.torch_backend.regions import EAGER, Regions, Style, Watch
from trainer.torch_backend.slots import Slots


class Encoded(NamedTuple):
    """What the two heads make of P patients; all float32, whatever the matrix products were in."""

    masked_hidden: torch.Tensor
    """(M, H): what the vocabulary head multiplies with the word embeddings"""
    los_logits: torch.Tensor
    """(P, 2)"""
    pooler_logits: torch.Tensor | None
    """(P, 2): trains the pooler, and it alone, where the prolonged-stay head does not read it; or None"""
    layers: tuple[torch.Tensor, ...]
    """(N, H) each: the embeddings, then every layer's output"""


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


def look_up_words(model: transformers.BertForPreTraining, input_ids: torch.Tensor) -> torch.Tensor:
    """(N, H) word embeddings, cut off from the embedding table.

    The tied vocabulary head makes the table's gradient dense already, and these slots' share is added to it
    in place (gradients.py), not as a second array of the table's size.
    """
    return embedding(input_ids, model.bert.embeddings.word_embeddings.weight.detach())


class Encoder:
    """BERT up to its heads. Slots stand in one flat array all the way; only attention sees them by row."""

    def __init__(
        self,
        model: transformers.BertForPreTraining,
        dropout: Dropout | None = None,
        precision: torch.dtype = torch.float32,
        watch: Watch | None = None,
        regions: Regions = EAGER,
    ) -> None:
        """dropout: None for none. precision: of the layers between the embeddings and the heads."""
        config = model.config
        self._model, self._dropout, self._regions = model, dropout, regions
        self._style = Style(precision, config.hidden_dropout_prob, config.num_attention_heads, watch)

    def encode(self, slots: Slots, words: torch.Tensor) -> Encoded:
        """words: (N, H)."""
        bert, heads, style = self._model.bert, self._model.cls, self._style
        slots = slots.with_hidden_as(style.precision)
        bits = self._bits(words.shape)
        hidden = self._regions.embed(
            bert.embeddings, words, slots.visit_numbers, slots.positions, bits, style
        )
        layers = [hidden]
        for layer in bert.encoder.layer:
            hidden = self._layer(layer, hidden, slots)
            layers.append(hidden)
        masked = self._call(heads.predictions.transform, hidden[slots.masked_slots].float())
        read, means = self._pool(hidden, slots)
        los_logits = self._call(heads.seq_relationship, read)
        pooler_logits = None if means is None else self._pooler_logits(means)
        return Encoded(masked, los_logits, pooler_logits, tuple(layers))

    def _layer(self, layer: torch.nn.Module, hidden: torch.Tensor, slots: Slots) -> torch.Tensor:
        """(N, H) → (N, H)"""
        config, attention = self._model.config, layer.attention.self
        projected = self._regions.project(attention, hidden, self._style)
        rate = config.attention_probs_dropout_prob
        context = attend(projected, slots, config.num_attention_heads, rate, self._dropout)
        context = self._style.seen(attention, hidden, context)
        bits = self._bits(hidden.shape), self._bits(hidden.shape)
        return self._regions.finish_layer(layer, context, hidden, bits, self._style)

    def _bits(self, shape: torch.Size) -> torch.Tensor | None:
        return self._dropout.bits(shape, self._style.rate) if self._dropout else None

    def _call(self, module: torch.nn.Module, values: torch.Tensor) -> torch.Tensor:
        return self._style.seen(module, values, module(values))

    def _pool(self, hidden: torch.Tensor, slots: Slots) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(P, H): what the prolonged-stay head reads; and the codes' means, where it reads no pooler."""
        if self._model.config.los_pooling == "first":
            return self._call(self._model.bert.pooler, hidden[slots.first_slots].float()[:, None]), None
        patients = len(slots.first_slots)
        sums = torch.zeros(patients + 1, hidden.shape[1], device=hidden.device)
        sums = sums.index_add(0, slots.patients, hidden.float())[:patients]
        # Not bincount: on a GPU it waits for the largest number.
        ones = torch.ones(len(slots.patients), device=hidden.device)
        counts = torch.zeros(patients + 1, device=hidden.device).index_add(0, slots.patients, ones)
        means = sums / counts[:patients, None]
        read = sums if self._model.config.los_pooling == "sum" else means
        return read, means

    def _pooler_logits(self, means: torch.Tensor) -> torch.Tensor:
        """(P, 2): what the prolonged-stay head makes of the pooler's output. means: (P, H) of the codes."""
        head = self._model.cls.seq_relationship
        pooled = self._call(self._model.bert.pooler, means.detach()[:, None])
        return linear(pooled, head.weight.detach(), head.bias.detach())


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
    arrays = {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}
    return {
        row.tensorflow: (
            arrays[row.transformers].T if row.operation is Operation.TRANSPOSE else arrays[row.transformers]
        )
        for row in rows_for(config.num_hidden_layers)
    }
