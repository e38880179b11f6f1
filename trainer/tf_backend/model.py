"""BERT in plain TensorFlow: a function of a dictionary of variables under BERT's own names.

Tokens stand in one flat array, (B * T, H), all the way; only attention sees them by patient. Source of the
network: google-research/bert `modeling.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from schemas.bert_names import WORD_EMBEDDINGS
from schemas.errors import ContractError
from schemas.model_config import BertConfig
from trainer.core.batch import MaskedBatch
from trainer.tf_backend.dropout import Dropout
from trainer.tf_backend.products import matmul

_HIDDEN_SLOT = -10_000.0
"""Added to the attention score of an empty slot: e to this power is 0 in float32."""


class Block(NamedTuple):
    """One block as tensors; shapes as in trainer.core.batch.MaskedBatch, all int32 but `real`."""

    input_ids: tf.Tensor
    """(B, T)"""
    visit_numbers: tf.Tensor
    """(B, T)"""
    real: tf.Tensor
    """(B, T) float32: 1 in slots that hold a code, of which a row has at least one, else 0"""
    masked_positions: tf.Tensor
    """(M,)"""
    masked_labels: tf.Tensor
    """(M,)"""
    prolonged_los: tf.Tensor
    """(B,)"""


class Encoded(NamedTuple):
    """What the two heads make of one block."""

    masked_hidden: tf.Tensor
    """(M, H): what the vocabulary head multiplies with the word embeddings"""
    los_logits: tf.Tensor
    """(B, 2)"""
    layers: tuple[tf.Tensor, ...]
    """(B * T, H) each: the embeddings, then every layer's output"""


def check_supported(config: BertConfig) -> None:
    """Raises ContractError."""
    if config.hidden_act != "gelu_pytorch_tanh":
        raise ContractError(
            f"hidden_act is {config.hidden_act}",
            "the TensorFlow backend computes BERT's own activation, gelu_pytorch_tanh",
            "set hidden_act to gelu_pytorch_tanh, or use the PyTorch backend",
        )


def to_block(batch: MaskedBatch) -> Block:
    length = batch.input_ids.shape[1]
    real = np.arange(length) < np.maximum(batch.lengths, 1)[:, None]
    return Block(
        tf.constant(batch.input_ids, tf.int32),
        tf.constant(batch.visit_numbers, tf.int32),
        tf.constant(real, tf.float32),
        tf.constant(batch.masked_positions, tf.int32),
        tf.constant(batch.masked_labels, tf.int32),
        tf.constant(batch.prolonged_los, tf.int32),
    )


def look_up_words(weights: Mapping[str, tf.Variable], input_ids: tf.Tensor) -> tf.Tensor:
    """(B * T, H) word embeddings of input_ids (B, T).

    Kept out of what is differentiated: the tied vocabulary head makes the table's gradient dense already, and
    these slots' share is added to it in place (gradients.py), not as a second array of the table's size.
    """
    return tf.gather(weights[WORD_EMBEDDINGS], tf.reshape(input_ids, [-1]))


class Bert:
    """The network of one configuration; holds no state but the variables it is given."""

    def __init__(
        self,
        config: BertConfig,
        weights: Mapping[str, tf.Variable],
        precision: tf.DType = tf.float32,
    ) -> None:
        """precision: of the matrix products of the embeddings' and layers' outputs."""
        check_supported(config)
        self._config, self._weights, self._precision = config, weights, precision

    def encode(self, block: Block, words: tf.Tensor, dropout: Dropout) -> Encoded:
        """Run one block, B ≥ 1, up to both heads."""
        config = self._config
        length = tf.shape(block.real)[1]
        hidden_slots = (1.0 - block.real)[:, tf.newaxis, tf.newaxis, :] * _HIDDEN_SLOT  # (B, 1, 1, T)
        with tf.name_scope("bert/embeddings/"):
            hidden = self._embed(block, words, length)
            hidden = dropout(hidden, config.hidden_dropout_prob)
        layers = [hidden]
        for number in range(config.num_hidden_layers):
            name = f"bert/encoder/layer_{number}"
            with tf.name_scope(f"{name}/"):
                hidden = self._layer(name, hidden, hidden_slots, length, dropout)
            layers.append(hidden)
        masked = self._dense("cls/predictions/transform/dense", tf.gather(hidden, block.masked_positions))
        masked = self._layer_norm("cls/predictions/transform", tf.nn.gelu(masked, approximate=True))
        los_logits = tf.nn.bias_add(
            tf.matmul(
                self._pooled_for_los(hidden, block.real),
                self._weights["cls/seq_relationship/output_weights"],
                transpose_b=True,
            ),
            self._weights["cls/seq_relationship/output_bias"],
        )
        return Encoded(masked, los_logits, tuple(layers))

    def pooled_output(self, hidden: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """(B, H): the pooler's output for the first token of each patient. hidden: (B * T, H)."""
        first_tokens = tf.reshape(hidden, [-1, length, self._config.hidden_size])[:, 0]
        return tf.tanh(self._dense("bert/pooler/dense", first_tokens))

    def _pooled_for_los(self, hidden: tf.Tensor, real: tf.Tensor) -> tf.Tensor:
        """(B, H)"""
        length = tf.shape(real)[1]
        if self._config.los_pooling == "first":
            return self.pooled_output(hidden, length)
        by_patient = tf.reshape(hidden, [-1, length, self._config.hidden_size])
        total = tf.reduce_sum(by_patient * real[:, :, tf.newaxis], axis=1)
        if self._config.los_pooling == "sum":
            return total
        return total / tf.reduce_sum(real, axis=1, keepdims=True)

    def _embed(self, block: Block, words: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """(B * T, H)"""
        visits = tf.gather(
            self._weights["bert/embeddings/token_type_embeddings"], tf.reshape(block.visit_numbers, [-1])
        )
        positions = self._weights["bert/embeddings/position_embeddings"][:length]
        by_patient = tf.reshape(words + visits, [-1, length, self._config.hidden_size]) + positions
        return self._layer_norm("bert/embeddings", tf.reshape(by_patient, [-1, self._config.hidden_size]))

    def _layer(
        self, name: str, hidden: tf.Tensor, hidden_slots: tf.Tensor, length: tf.Tensor, dropout: Dropout
    ) -> tf.Tensor:
        """(B * T, H) → (B * T, H)"""
        rate = self._config.hidden_dropout_prob
        context = self._attention(f"{name}/attention/self", hidden, hidden_slots, length, dropout)
        attended = dropout(self._dense(f"{name}/attention/output/dense", context), rate)
        attended = self._layer_norm(f"{name}/attention/output", attended + hidden)
        inner = tf.nn.gelu(self._dense(f"{name}/intermediate/dense", attended), approximate=True)
        outer = dropout(self._dense(f"{name}/output/dense", inner), rate)
        return self._layer_norm(f"{name}/output", outer + attended)

    def _attention(
        self, name: str, hidden: tf.Tensor, hidden_slots: tf.Tensor, length: tf.Tensor, dropout: Dropout
    ) -> tf.Tensor:
        """(B * T, H) → (B * T, H)"""
        heads = self._config.num_attention_heads
        head_size = self._config.hidden_size // heads

        def by_head(part: str) -> tf.Tensor:  # (B, heads, T, head_size)
            projected = self._dense(f"{name}/{part}", hidden)
            return tf.transpose(tf.reshape(projected, [-1, length, heads, head_size]), [0, 2, 1, 3])

        query = by_head("query") * (1.0 / math.sqrt(head_size))
        scores = matmul(query, by_head("key"), self._precision, transpose_b=True)
        scores += hidden_slots  # (B, heads, T, T)
        shares = dropout(tf.nn.softmax(scores), self._config.attention_probs_dropout_prob)
        context = matmul(shares, by_head("value"), self._precision)
        return tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [-1, heads * head_size])

    def _dense(self, name: str, values: tf.Tensor) -> tf.Tensor:
        with tf.name_scope(f"{name}/"):  # absolute, so that profiles and anomalies name the layer
            return tf.nn.bias_add(
                matmul(values, self._weights[f"{name}/kernel"], self._precision),
                self._weights[f"{name}/bias"],
            )

    def _layer_norm(self, name: str, values: tf.Tensor) -> tf.Tensor:
        with tf.name_scope(f"{name}/LayerNorm/"):
            mean, variance = tf.nn.moments(values, axes=[-1], keepdims=True)
            return tf.nn.batch_normalization(
                values,
                mean,
                variance,
                offset=self._weights[f"{name}/LayerNorm/beta"],
                scale=self._weights[f"{name}/LayerNorm/gamma"],
                variance_epsilon=self._config.layer_norm_eps,
            )
