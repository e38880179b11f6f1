"""BERT in plain TensorFlow: a function of a dictionary of variables under BERT's own names.

Slots stand in one flat array, (N, H), all the way; only attention sees them by row. Source of the network:
google-research/bert `modeling.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any, NamedTuple

import tensorflow as tf

from schemas.bert_names import WORD_EMBEDDINGS
from schemas.model_config import BertConfig
from trainer.tf_backend.activation import ACTIVATIONS
from trainer.tf_backend.attention import attend
from trainer.tf_backend.dropout import Dropout
from trainer.tf_backend.layer_norm import layer_norm
from trainer.tf_backend.products import dense, keep
from trainer.tf_backend.slots import SLOTS_SPEC, Slots
from trainer.tf_backend.traced import traced


class Encoded(NamedTuple):
    """What the two heads make of P patients; all float32, whatever the matrix products were in."""

    masked_hidden: tf.Tensor
    """(M, H): what the vocabulary head multiplies with the word embeddings"""
    los_logits: tf.Tensor
    """(P, 2)"""
    pooler_logits: tf.Tensor | None
    """(P, 2): trains the pooler, and it alone, where the prolonged-stay head does not read it; or None"""
    layers: tuple[tf.Tensor, ...]
    """(N, H) each: the embeddings, then every layer's output"""


def look_up_words(weights: Mapping[str, tf.Variable], input_ids: tf.Tensor) -> tf.Tensor:
    """(N, H) word embeddings of input_ids (N,).

    Kept out of what is differentiated: the tied vocabulary head makes the table's gradient dense already, and
    these slots' share is added to it in place (gradients.py), not as a second array of the table's size.
    """
    return _rows_of(weights[WORD_EMBEDDINGS], input_ids)


def _rows_of(table: tf.Variable, numbers: tf.Tensor) -> tf.Tensor:
    """Rows of a table that is read first: after a look-up in a variable, each later read would copy it."""
    return tf.gather(tf.convert_to_tensor(table), numbers)


def _los_logits(pooled: tf.Tensor, weights: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """(P, 2) of pooled (P, H), weights (2, H), bias (2,)."""
    return tf.nn.bias_add(tf.matmul(pooled, weights, transpose_b=True), bias)


class Bert:
    """The network of one configuration; holds no state but the variables it is given."""

    def __init__(
        self,
        config: BertConfig,
        weights: Mapping[str, tf.Variable],
        precision: tf.DType = tf.float32,
    ) -> None:
        """precision: of the layers between the embeddings and the heads."""
        self._config, self._weights, self._precision = config, weights, precision
        self._activation = ACTIVATIONS[config.hidden_act]
        layers = [(number, f"bert/encoder/layer_{number}") for number in range(config.num_hidden_layers)]
        self._pieces = [self._first, *(partial(self._layer, *layer) for layer in layers), self._heads]

    def traced(self, widths: int) -> Bert:
        """The same network for training, each layer a function of its own, with rows of so many widths.

        So the backward pass frees a layer's memory before it comes to the next.
        """
        network = copy(self)
        numbers, floats = tf.TensorSpec([2], tf.int64), tf.TensorSpec([None, self._config.hidden_size])
        hidden = tf.TensorSpec(floats.shape, self._precision)
        bias = tf.TensorSpec([None, 1, None, None], self._precision)
        first, *layers, heads = self._pieces
        network._pieces = [
            traced(first, input_signature=[SLOTS_SPEC, floats, numbers]),
            *(traced(layer, input_signature=[hidden, [bias] * widths, numbers]) for layer in layers),
            traced(heads, input_signature=[SLOTS_SPEC, hidden]),
        ]
        return network

    def encode(
        self,
        slots: Slots,
        hidden_slots: Sequence[tf.Tensor],
        words: tf.Tensor,
        dropout_seed: tf.Tensor | None = None,
    ) -> Encoded:
        """Run P ≥ 1 patients up to both heads.

        hidden_slots: see attention.attend. words: (N, H), as look_up_words gives them. dropout_seed: (2,)
        int64, or None for no dropout.
        """
        first, *layers, heads = self._pieces
        biases = [tf.cast(scores, self._precision) for scores in hidden_slots]
        outputs = [first(slots, words, dropout_seed)]
        for layer in layers:
            outputs.append(layer(outputs[-1], biases, dropout_seed))
        return Encoded(*heads(slots, outputs[-1]), tuple(outputs))

    def _first(self, slots: Slots, words: tf.Tensor, dropout_seed: tf.Tensor | None) -> tf.Tensor:
        """(N, H): the embeddings."""
        dropout, rate = Dropout(dropout_seed, 0), self._config.hidden_dropout_prob
        with tf.name_scope("bert/embeddings/"):
            hidden = tf.cast(self._embed(slots, words, dropout.scale(rate)), self._precision)
            kept = dropout.kept(tf.shape(hidden), rate)
            return tf.custom_gradient(lambda values: keep(values, kept))(hidden)

    def _heads(self, slots: Slots, hidden: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """(M, H), (P, 2) and (P, 2), see Encoded."""
        masked = tf.cast(tf.gather(hidden, slots.masked_slots), tf.float32)
        masked = self._dense("cls/predictions/transform/dense", masked)
        masked = self._layer_norm("cls/predictions/transform", tf.custom_gradient(self._activation)(masked))
        weights = self._weights["cls/seq_relationship/output_weights"]
        bias = self._weights["cls/seq_relationship/output_bias"]
        read, means = self._pooled_for_los(hidden, slots)
        los_logits = _los_logits(read, weights, bias)
        if means is None:
            return masked, los_logits, None
        pooled = self._pooler(tf.stop_gradient(means))
        return masked, los_logits, _los_logits(pooled, tf.stop_gradient(weights), tf.stop_gradient(bias))

    def pooled_output(self, hidden: tf.Tensor, first_slots: tf.Tensor) -> tf.Tensor:
        """(P, H) float32: the pooler's output for the first code of each patient. hidden: (N, H)."""
        return self._pooler(tf.cast(tf.gather(hidden, first_slots), tf.float32))

    def _pooler(self, values: tf.Tensor) -> tf.Tensor:
        """(P, H) → (P, H)"""
        return tf.tanh(self._dense("bert/pooler/dense", values))

    def _pooled_for_los(self, hidden: tf.Tensor, slots: Slots) -> tuple[tf.Tensor, tf.Tensor | None]:
        """(P, H): what the prolonged-stay head reads; and the codes' means, where it reads no pooler."""
        if self._config.los_pooling == "first":
            return self.pooled_output(hidden, slots.first_slots), None
        patients = tf.size(slots.first_slots)
        hidden = tf.cast(hidden, tf.float32)
        sums = tf.math.unsorted_segment_sum(hidden, slots.patients, patients + 1)[:patients]
        codes = tf.math.unsorted_segment_sum(tf.ones_like(hidden[:, :1]), slots.patients, patients + 1)
        means = sums / codes[:patients]
        read = sums if self._config.los_pooling == "sum" else means
        return read, means

    def _embed(self, slots: Slots, words: tf.Tensor, scale: float) -> tf.Tensor:
        """(N, H) float32, times scale"""
        visits = _rows_of(self._weights["bert/embeddings/token_type_embeddings"], slots.visit_numbers)
        places = _rows_of(self._weights["bert/embeddings/position_embeddings"], slots.positions)
        # The gradient of + would hold on to what is added.
        return self._layer_norm("bert/embeddings", tf.add_n([words, visits, places]), scale)

    def _layer(
        self,
        number: int,
        name: str,
        hidden: tf.Tensor,
        hidden_slots: Sequence[tf.Tensor],
        dropout_seed: tf.Tensor | None,
    ) -> tf.Tensor:
        """(N, H) → (N, H)

        Its gradient is made by hand, in four pieces: between forward and backward pass TensorFlow holds on to
        all that a piece is given and to all that its own gradient reads.
        """
        dropout = Dropout(dropout_seed, 1 + number)
        with tf.name_scope(f"{name}/"):
            context = self._attention(f"{name}/attention/self", hidden, hidden_slots, dropout)
            attended = self._add(f"{name}/attention/output", context, hidden, dropout)
            inner = self._inner(f"{name}/intermediate/dense", attended)
            return self._add(f"{name}/output", inner, attended, dropout)

    def _attention(
        self, name: str, hidden: tf.Tensor, hidden_slots: Sequence[tf.Tensor], dropout: Dropout
    ) -> tf.Tensor:
        """(N, H) → (N, H)"""
        config = self._config
        rate = config.attention_probs_dropout_prob
        scale = 1.0 / math.sqrt(config.hidden_size // config.num_attention_heads)

        def beside(kind: str) -> tf.Tensor:  # of queries, keys and values, for one product
            query, key, value = (self._weights[f"{name}/{part}/{kind}"] for part in ("query", "key", "value"))
            together = tf.concat([query * scale, key, value * dropout.scale(rate)], axis=-1)
            return tf.cast(together, hidden.dtype)

        @tf.custom_gradient
        def attention(hidden: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> Any:
            projected, of_dense = dense(hidden, kernel, bias)
            context, of_attention = attend(projected, hidden_slots, config.num_attention_heads, rate, dropout)
            return context, lambda upstream: of_dense(of_attention(upstream))

        with tf.name_scope(f"{name}/"):  # absolute, so that profiles and anomalies name the layer
            return attention(hidden, beside("kernel"), beside("bias"))

    def _inner(self, name: str, values: tf.Tensor) -> tf.Tensor:
        """(N, H) → (N, intermediate_size): dense, activation."""

        @tf.custom_gradient
        def inner(values: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> Any:
            product, of_dense = dense(values, kernel, bias)
            result, of_activation = self._activation(product)
            return result, lambda upstream: of_dense(of_activation(upstream))

        with tf.name_scope(f"{name}/"):
            return inner(values, *self._kernel_and_bias(name, values.dtype))

    def _add(self, name: str, values: tf.Tensor, residual: tf.Tensor, dropout: Dropout) -> tf.Tensor:
        """(N, any) → (N, H): dense, dropout, plus the residual, layer norm."""
        rate = self._config.hidden_dropout_prob

        @tf.custom_gradient
        def add(
            values: tf.Tensor, residual: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor, *norm: tf.Tensor
        ) -> Any:
            with tf.name_scope(f"{name}/dense/"):
                product, of_dense = dense(values, kernel, bias)
                dropped, of_dropout = keep(product, dropout.kept(tf.shape(product), rate))
            with tf.name_scope(f"{name}/LayerNorm/"):
                result, of_norm = layer_norm(dropped + residual, *norm, self._config.layer_norm_eps)

            def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
                of_sum, *of_norm_weights = of_norm(upstream)
                of_values, *of_dense_weights = of_dense(of_dropout(of_sum))
                return (of_values, of_sum, *of_dense_weights, *of_norm_weights)

            return result, gradient

        # Weights are scaled for dropout, which are few, not values.
        kernel, bias = self._kernel_and_bias(f"{name}/dense", values.dtype, dropout.scale(rate))
        return add(values, residual, kernel, bias, *self._norm_weights(name))

    def _dense(self, name: str, values: tf.Tensor) -> tf.Tensor:
        with tf.name_scope(f"{name}/"):
            return tf.custom_gradient(dense)(values, *self._kernel_and_bias(name, values.dtype))

    def _layer_norm(self, name: str, values: tf.Tensor, factor: float = 1.0) -> tf.Tensor:
        """Times a factor."""
        scale, offset = self._norm_weights(name)
        with tf.name_scope(f"{name}/LayerNorm/"):
            return tf.custom_gradient(lambda *tensors: layer_norm(*tensors, self._config.layer_norm_eps))(
                values, scale * factor, offset * factor
            )

    def _kernel_and_bias(
        self, name: str, dtype: tf.DType, factor: float = 1.0
    ) -> tuple[tf.Tensor, tf.Tensor]:
        kernel, bias = (self._weights[f"{name}/{kind}"] * factor for kind in ("kernel", "bias"))
        return tf.cast(kernel, dtype), tf.cast(bias, dtype)

    def _norm_weights(self, name: str) -> tuple[tf.Tensor, tf.Tensor]:
        scale, offset = (self._weights[f"{name}/LayerNorm/{kind}"] for kind in ("gamma", "beta"))
        return tf.convert_to_tensor(scale), tf.convert_to_tensor(offset)
