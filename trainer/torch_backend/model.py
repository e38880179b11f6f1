"""transformers' BertForPreTraining: its parameters, run over a flat array of slots."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import transformers
from torch.nn.functional import embedding, layer_norm, linear

from schemas.bert_names import Operation, rows_for
from schemas.model_config import BertConfig
from trainer.torch_backend.attention import attend
from trainer.torch_backend.dropout import Dropout
from trainer.torch_backend.slots import Slots

Watch = Callable[[torch.nn.Module, torch.Tensor, torch.Tensor], None]
"""Is shown each module's input and output."""


class Encoded(NamedTuple):
    """What the two heads make of P patients; all float32, whatever the matrix products were in."""

    masked_hidden: torch.Tensor
    """(M, H): what the vocabulary head multiplies with the word embeddings"""
    los_logits: torch.Tensor
    """(P, 2)"""
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
    ) -> None:
        """dropout: None for none. precision: of the layers between the embeddings and the heads."""
        self._model, self._dropout, self._precision, self._watch = model, dropout, precision, watch

    def encode(self, slots: Slots, words: torch.Tensor) -> Encoded:
        """words: (N, H)."""
        bert, heads = self._model.bert, self._model.cls
        slots = slots.with_hidden_as(self._precision)
        hidden = self._embed(bert.embeddings, slots, words).to(self._precision)
        layers = [hidden]
        for layer in bert.encoder.layer:
            hidden = self._layer(layer, hidden, slots)
            layers.append(hidden)
        masked = self._call(heads.predictions.transform, hidden[slots.masked_slots].float())
        los_logits = self._call(heads.seq_relationship, self._pool(hidden, slots))
        return Encoded(masked, los_logits, tuple(layers))

    def _embed(self, embeddings: torch.nn.Module, slots: Slots, words: torch.Tensor) -> torch.Tensor:
        """(N, H)"""
        visits = embedding(slots.visit_numbers, embeddings.token_type_embeddings.weight)
        places = embedding(slots.positions, embeddings.position_embeddings.weight)
        hidden = self._call(embeddings.LayerNorm, words + visits + places)
        rate = self._model.config.hidden_dropout_prob
        kept = self._kept(hidden, rate)
        return hidden if kept is None else hidden * (kept * Dropout.scale(rate))

    def _layer(self, layer: torch.nn.Module, hidden: torch.Tensor, slots: Slots) -> torch.Tensor:
        """(N, H) → (N, H)"""
        attended = self._add(
            layer.attention.output, self._attend(layer.attention.self, hidden, slots), hidden
        )
        inner = layer.intermediate.intermediate_act_fn(self._dense(layer.intermediate.dense, attended))
        return self._add(layer.output, inner, attended)

    def _attend(self, attention: torch.nn.Module, hidden: torch.Tensor, slots: Slots) -> torch.Tensor:
        """(N, H) → (N, H)"""
        config = self._model.config
        heads = config.num_attention_heads
        scale = 1 / math.sqrt(config.hidden_size // heads)
        query, key, value = attention.query, attention.key, attention.value
        weights = torch.cat([query.weight * scale, key.weight, value.weight])
        biases = torch.cat([query.bias * scale, key.bias, value.bias])
        projected = linear(hidden, weights.to(self._precision), biases.to(self._precision))
        context = attend(projected, slots, heads, config.attention_probs_dropout_prob, self._dropout)
        return self._seen(attention, hidden, context)

    def _add(self, output: torch.nn.Module, values: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """(N, any) → (N, H): dense, dropout, plus the residual, layer norm."""
        values = self._dense(output.dense, values)
        rate = self._model.config.hidden_dropout_prob
        kept = self._kept(values, rate)
        total = (
            residual + values
            if kept is None
            else torch.addcmul(residual, values, kept, value=Dropout.scale(rate))
        )
        norm = output.LayerNorm
        weight, bias = norm.weight.to(self._precision), norm.bias.to(self._precision)
        return self._seen(norm, total, layer_norm(total, norm.normalized_shape, weight, bias, norm.eps))

    def _dense(self, dense: torch.nn.Linear, values: torch.Tensor) -> torch.Tensor:
        weight, bias = dense.weight.to(self._precision), dense.bias.to(self._precision)
        return self._seen(dense, values, linear(values, weight, bias))

    def _call(self, module: torch.nn.Module, values: torch.Tensor) -> torch.Tensor:
        return self._seen(module, values, module(values))

    def _seen(self, module: torch.nn.Module, read: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        if self._watch:
            self._watch(module, read, made)
        return made

    def _kept(self, values: torch.Tensor, rate: float) -> torch.Tensor | None:
        return self._dropout.kept(values.shape, rate, values.dtype) if self._dropout else None

    def _pool(self, hidden: torch.Tensor, slots: Slots) -> torch.Tensor:
        """(P, H): what the prolonged-stay head reads."""
        if self._model.config.los_pooling == "first":
            return self._call(self._model.bert.pooler, hidden[slots.first_slots].float()[:, None])
        patients = len(slots.first_slots)
        sums = torch.zeros(patients + 1, hidden.shape[1], device=hidden.device)
        sums = sums.index_add(0, slots.patients, hidden.float())[:patients]
        if self._model.config.los_pooling == "sum":
            return sums
        return sums / torch.bincount(slots.patients, minlength=patients + 1)[:patients, None]


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
