"""The last step of the masked-code head: scores over the whole vocabulary, (M, V), the largest array of all.

It is computed in chunks, and its gradient by hand: a chunk's scores become their own gradient, and nothing of
size M × V outlives its chunk.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from trainer.core.backend_rules import TOP_CODES, vocabulary_head_chunks
from trainer.tf_backend.products import matmul

_FLOATS = tf.TensorSpec([None, None], tf.float32)
_INTS = tf.TensorSpec([None], tf.int32)
_SCALE = tf.TensorSpec([], tf.float32)


class HeadGradients(NamedTuple):
    """loss_sum (): nats; the rest are the gradients of scale × loss_sum."""

    loss_sum: tf.Tensor
    hidden: tf.Tensor
    """(M, H)"""
    table: tf.Tensor
    """(V, H)"""
    bias: tf.Tensor
    """(V,)"""


class VocabularyHead:
    """table: (V, H) word embeddings; bias: (V,)."""

    def __init__(self, table: tf.Variable, bias: tf.Variable, precision: tf.DType = tf.float32) -> None:
        """precision: of the matrix products in loss_and_gradients."""
        self._table, self._bias, self._precision = table, bias, precision
        self._chunk_gradients = tf.function(
            self._gradients_of_chunk, input_signature=[_FLOATS, _INTS, _SCALE]
        )
        self._chunk_top_codes = tf.function(self._top_codes_of_chunk, input_signature=[_FLOATS, _INTS])

    def loss_and_gradients(self, hidden: tf.Tensor, labels: tf.Tensor, scale: float) -> HeadGradients:
        """Negative log-likelihood of labels (M,) given hidden (M, H). M may be 0."""
        chunks = [
            HeadGradients(*self._chunk_gradients(hidden[rows], labels[rows], tf.constant(scale, tf.float32)))
            for rows in self._chunks(labels)
        ]
        if not chunks:
            return HeadGradients(
                tf.zeros([]), hidden, tf.zeros(self._table.shape), tf.zeros(self._bias.shape)
            )
        return HeadGradients(
            loss_sum=tf.add_n([chunk.loss_sum for chunk in chunks]),
            hidden=tf.concat([chunk.hidden for chunk in chunks], axis=0),
            table=tf.add_n([chunk.table for chunk in chunks]),
            bias=tf.add_n([chunk.bias for chunk in chunks]),
        )

    def loss_and_top_codes(self, hidden: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Summed negative log-likelihood (), and the likeliest codes (M, at most TOP_CODES), best first."""
        chunks = [self._chunk_top_codes(hidden[rows], labels[rows]) for rows in self._chunks(labels)]
        if not chunks:
            return tf.zeros([]), tf.zeros([0, TOP_CODES], tf.int32)
        losses, top_codes = zip(*chunks, strict=True)
        return tf.add_n(losses), tf.concat(top_codes, axis=0)

    def log_probs(self, hidden: tf.Tensor) -> tf.Tensor:
        """(M, V)"""
        return tf.nn.log_softmax(self._logits(hidden))

    def _chunks(self, labels: tf.Tensor) -> list[slice]:
        return vocabulary_head_chunks(labels.shape[0], self._table.shape[0])

    def _logits(self, hidden: tf.Tensor, precision: tf.DType = tf.float32) -> tf.Tensor:
        return tf.nn.bias_add(matmul(hidden, self._table, precision, transpose_b=True), self._bias)

    def _gradients_of_chunk(self, hidden: tf.Tensor, labels: tf.Tensor, scale: tf.Tensor) -> HeadGradients:
        # Its second result is the losses' gradient, softmax - one-hot, made without a one-hot array.
        losses, gradient = tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(
            features=self._logits(hidden, self._precision), labels=labels
        )
        return HeadGradients(
            loss_sum=tf.reduce_sum(losses),
            hidden=matmul(gradient, self._table, self._precision) * scale,
            table=matmul(gradient, hidden * scale, self._precision, transpose_a=True),
            bias=tf.reduce_sum(gradient, axis=0) * scale,
        )

    def _top_codes_of_chunk(self, hidden: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits = self._logits(hidden)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        most = min(TOP_CODES, self._table.shape[0])
        return tf.reduce_sum(losses), tf.math.top_k(logits, most).indices
