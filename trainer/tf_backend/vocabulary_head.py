"""The last step of the masked-code head: scores over the whole vocabulary, the largest array of all.

Its gradient is made by hand, a part of the vocabulary at a time: the part's scores, (M, part), stay in the
processor's cache until they have become their own gradient. The first pass sums e to the scores, the second
makes the gradients; the scores are computed anew for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from trainer.core.backend_rules import TOP_CODES, vocabulary_head_chunks, vocabulary_parts

_FLOATS = tf.TensorSpec([None, None], tf.float32)
_INTS = tf.TensorSpec([None], tf.int32)
_SCALE = tf.TensorSpec([], tf.float32)
_ROWS = tf.TensorSpec([], tf.int32)
_HUGE = 1e30
"""e to minus this is 0."""


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
        """precision: of what the matrix products in loss_and_gradients read and give."""
        self._table, self._bias, self._precision = table, bias, precision
        self._on_cpu = not tf.config.get_visible_devices("GPU")
        self._gradients = tf.function(
            self._loss_and_gradients, input_signature=[_FLOATS, _INTS, _SCALE, _ROWS]
        )
        self._chunk_top_codes = tf.function(self._top_codes_of_chunk, input_signature=[_FLOATS, _INTS])

    def loss_and_gradients(self, hidden: tf.Tensor, labels: tf.Tensor, scale: float) -> HeadGradients:
        """Negative log-likelihood of labels (M,) given hidden (M, H). M may be 0.

        A label below 0 counts for nothing.
        """
        masked, vocabulary = labels.shape[0], self._table.shape[0]
        if not masked:
            return HeadGradients(tf.zeros([]), hidden, tf.zeros(self._table.shape), tf.zeros([vocabulary]))
        rows = vocabulary_parts(masked, vocabulary, in_cache=self._on_cpu)[0].stop
        return HeadGradients(
            *self._gradients(hidden, labels, tf.constant(scale, tf.float32), tf.constant(rows))
        )

    def loss_and_top_codes(self, hidden: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Summed negative log-likelihood (), and the likeliest codes (M, at most TOP_CODES), best first."""
        chunks = [
            self._chunk_top_codes(hidden[rows], labels[rows])
            for rows in vocabulary_head_chunks(labels.shape[0], self._table.shape[0])
        ]
        if not chunks:
            return tf.zeros([]), tf.zeros([0, TOP_CODES], tf.int32)
        losses, top_codes = zip(*chunks, strict=True)
        return tf.add_n(losses), tf.concat(top_codes, axis=0)

    def log_probs(self, hidden: tf.Tensor) -> tf.Tensor:
        """(M, V)"""
        return tf.nn.log_softmax(self._logits(hidden))

    def _logits(self, hidden: tf.Tensor) -> tf.Tensor:
        return tf.nn.bias_add(tf.matmul(hidden, self._table, transpose_b=True), self._bias)

    def _loss_and_gradients(
        self, hidden: tf.Tensor, labels: tf.Tensor, scale: tf.Tensor, rows: tf.Tensor
    ) -> HeadGradients:
        """rows: of the table, at a time."""
        is_label = tf.cast(labels >= 0, tf.float32)
        true_codes = tf.maximum(labels, 0)
        table, bias = tf.convert_to_tensor(self._table), tf.convert_to_tensor(self._bias)
        parts = _Parts(tf.cast(hidden, self._precision), tf.cast(table, self._precision), bias, rows)

        log_sums = parts.log_sums()
        true_scores = tf.reduce_sum(
            tf.cast(parts.hidden, tf.float32) * tf.cast(tf.gather(parts.table, true_codes), tf.float32),
            axis=1,
        ) + tf.gather(bias, true_codes)
        loss_sum = tf.reduce_sum((log_sums - true_scores) * is_label)

        expected = is_label[:, tf.newaxis]
        hidden_gradient, table_gradient, bias_gradient = parts.gradients(
            log_sums + (1.0 - is_label) * _HUGE, tf.cast(hidden * scale, self._precision)
        )
        # What is left of the gradient, softmax minus one-hot.
        places = true_codes[:, tf.newaxis]
        return HeadGradients(
            loss_sum=loss_sum,
            hidden=(hidden_gradient - tf.gather(table, true_codes) * expected) * scale,
            table=tf.tensor_scatter_nd_sub(table_gradient, places, hidden * (expected * scale)),
            bias=tf.tensor_scatter_nd_sub(bias_gradient, places, is_label) * scale,
        )

    def _top_codes_of_chunk(self, hidden: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits = self._logits(hidden)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        most = min(TOP_CODES, self._table.shape[0])
        return tf.reduce_sum(losses), tf.math.top_k(logits, most).indices


class _Parts:
    """hidden (M, H), table (V, H) and bias (V,), of which so many rows at a time; loops, in a tf.function."""

    def __init__(self, hidden: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, rows: tf.Tensor) -> None:
        self.hidden, self.table, self.bias, self._rows = hidden, table, bias, rows
        self._count = -(-table.shape[0] // rows)

    def log_sums(self) -> tf.Tensor:
        """(M,): logarithms of the sums of e to the scores."""

        def add(part: tf.Tensor, largest: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, ...]:
            scores = self._scores(part)
            larger = tf.maximum(largest, tf.reduce_max(scores, axis=1))
            found = tf.reduce_sum(tf.exp(scores - larger[:, tf.newaxis]), axis=1)
            return part + 1, larger, total * tf.exp(largest - larger) + found

        nothing = tf.zeros_like(self.hidden[:, 0], tf.float32)
        _, largest, total = self._loop(add, nothing - _HUGE, nothing)
        return largest + tf.math.log(total)

    def gradients(self, log_sums: tf.Tensor, scaled_hidden: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Of the sum of log_sums: of hidden; of the table and times scaled_hidden's scale; of the bias."""

        def add(part: tf.Tensor, hidden: tf.Tensor, table: tf.TensorArray, bias: tf.TensorArray) -> tuple:
            chances = tf.exp(self._scores(part) - log_sums[:, tf.newaxis])
            bias = bias.write(part, tf.reduce_sum(chances, axis=0))
            chances = tf.cast(chances, self.table.dtype)
            found = tf.matmul(chances, scaled_hidden, transpose_a=True)
            table = table.write(part, tf.cast(found, tf.float32))
            hidden += tf.cast(tf.matmul(chances, self.table[self._slice(part)]), tf.float32)
            return part + 1, hidden, table, bias

        def arrays(*shape: int | None) -> tf.TensorArray:
            return tf.TensorArray(tf.float32, self._count, infer_shape=False, element_shape=shape)

        start = tf.zeros_like(self.hidden, tf.float32)
        _, hidden, table, bias = self._loop(add, start, arrays(None, self.table.shape[1]), arrays(None))
        return hidden, table.concat(), bias.concat()

    def _loop(self, body: Callable[..., tuple], *start: Any) -> tuple:
        """One part after the other, so that they share the cache."""
        return tf.while_loop(
            lambda part, *_: part < self._count, body, (tf.constant(0), *start), parallel_iterations=1
        )

    def _slice(self, part: tf.Tensor) -> slice:
        return slice(part * self._rows, (part + 1) * self._rows)

    def _scores(self, part: tf.Tensor) -> tf.Tensor:
        """(M, part) float32"""
        rows = self._slice(part)
        return (
            tf.cast(tf.matmul(self.hidden, self.table[rows], transpose_b=True), tf.float32) + self.bias[rows]
        )
