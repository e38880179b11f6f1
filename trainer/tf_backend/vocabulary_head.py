"""The last step of the masked-code head: scores over the whole vocabulary, the largest array of all.

Its gradient is made by hand, a part of the vocabulary at a time: the part's scores, (M, part), stay in the
processor's cache until they have become their own gradient. The first pass sums e to the scores, the second
makes the gradients; the scores are computed anew for it. Towers share the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from trainer.core.backend_rules import TOP_CODES, vocabulary_head_chunks, vocabulary_parts
from trainer.tf_backend.table_gradient import add_distinct_rows, add_rows
from trainer.tf_backend.towers import Towers
from trainer.tf_backend.traced import traced

_MATRIX = tf.TensorSpec([None, None], tf.float32)
_VECTOR = tf.TensorSpec([None], tf.float32)
_NUMBER = tf.TensorSpec([], tf.float32)
_INTS = tf.TensorSpec([None], tf.int32)
_INT = tf.TensorSpec([], tf.int32)
_HUGE = 1e30
"""e to minus this is 0."""


class HeadGradients(NamedTuple):
    """loss_sum (): nats; the rest are the gradients of scale × loss_sum."""

    loss_sum: tf.Tensor
    hidden: tf.Tensor
    """(M, H)"""
    table: tf.Tensor
    """(V, H): what was handed in, added to"""
    bias: tf.Tensor
    """(V,)"""


class _Found(NamedTuple):
    """What one tower makes of its share of the vocabulary: gradients of the sum of log_sums."""

    hidden: tf.Tensor
    """(M, H): to be added up"""
    table: tf.Tensor
    """(V, H): what was handed in, to whose share it was added, times the scale"""
    bias: tf.Tensor
    """(share,)"""


class VocabularyHead:
    """table: (V, H) word embeddings; bias: (V,)."""

    def __init__(
        self, table: tf.Variable, bias: tf.Variable, towers: Towers, precision: tf.DType = tf.float32
    ) -> None:
        """precision: of what the matrix products in loss_and_gradients read and give."""
        self._table, self._bias, self._towers, self._precision = table, bias, towers, precision
        self._on_cpu = not tf.config.get_visible_devices("GPU")
        read = tf.TensorSpec([None, None], precision)
        self._log_sums = traced(self._log_sums_of_share, input_signature=[_MATRIX, _INT, _INT, _INT])
        self._loss = traced(self._loss_of, input_signature=[_MATRIX, _INTS, [_VECTOR] * towers.count])
        self._gradients = traced(
            self._gradients_of_share,
            input_signature=[_MATRIX, _VECTOR, _NUMBER, read, _VECTOR, _INT, _INT, _MATRIX],
        )
        self._whole = traced(
            self._whole_of,
            input_signature=[_MATRIX, _INTS, _NUMBER, [_Found(_MATRIX, _MATRIX, _VECTOR)] * towers.count],
        )
        self._chunk_top_codes = traced(self._top_codes_of_chunk, input_signature=[_MATRIX, _INTS])

    def loss_and_gradients(
        self, hidden: tf.Tensor, labels: tf.Tensor, scale: float, table_gradient: tf.Tensor
    ) -> HeadGradients:
        """Negative log-likelihood of labels (M,) given hidden (M, H). M may be 0.

        A label below 0 counts for nothing. table_gradient: (V, H), which is added to, in place on a CPU.
        """
        masked, vocabulary = labels.shape[0], self._table.shape[0]
        if not masked:
            return HeadGradients(tf.zeros([]), hidden, table_gradient, tf.zeros([vocabulary]))
        rows = tf.constant(vocabulary_parts(masked, vocabulary, in_cache=self._on_cpu)[0].stop)
        factor = tf.constant(scale, tf.float32)
        count = self._towers.count
        edges = [tf.constant(vocabulary * number // count) for number in range(count + 1)]
        shares = self._towers.map(
            lambda start, stop: self._log_sums(hidden, start, stop, rows), edges[:-1], edges[1:]
        )
        loss_sum, log_sums = self._loss(hidden, labels, [share[0] for share in shares])
        found = self._towers.map(
            lambda share, start: self._gradients(
                hidden, log_sums, factor, *share[1:], start, rows, table_gradient
            ),
            shares,
            edges[:-1],
        )
        return HeadGradients(loss_sum, *self._whole(hidden, labels, factor, found))

    def loss_and_top_codes(self, hidden: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Summed negative log-likelihood (), and the likeliest codes (M, at most TOP_CODES), best first."""
        slices = vocabulary_head_chunks(labels.shape[0], self._table.shape[0], at_once=self._towers.count)
        chunks = self._towers.map(lambda rows: self._chunk_top_codes(hidden[rows], labels[rows]), slices)
        if not chunks:
            return tf.zeros([]), tf.zeros([0, TOP_CODES], tf.int32)
        losses, top_codes = zip(*chunks, strict=True)
        return tf.add_n(losses), tf.concat(top_codes, axis=0)

    def log_probs(self, hidden: tf.Tensor) -> tf.Tensor:
        """(M, V)"""
        return tf.nn.log_softmax(self._logits(hidden))

    def _logits(self, hidden: tf.Tensor) -> tf.Tensor:
        return tf.nn.bias_add(tf.matmul(hidden, self._table, transpose_b=True), self._bias)

    def _log_sums_of_share(
        self, hidden: tf.Tensor, start: tf.Tensor, stop: tf.Tensor, rows: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """(M,) over the rows start to stop, and these of the table and the bias. rows: at a time."""
        table = tf.cast(tf.convert_to_tensor(self._table)[start:stop], self._precision)
        bias = tf.convert_to_tensor(self._bias)[start:stop]
        return _Parts(tf.cast(hidden, self._precision), table, bias, rows).log_sums(), table, bias

    def _loss_of(
        self, hidden: tf.Tensor, labels: tf.Tensor, log_sums: list[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The summed loss (), and log_sums (M,) over the whole vocabulary, 1e30 where there is no label."""
        is_label, true_codes = _codes_of(labels)
        whole = tf.reduce_logsumexp(tf.stack(log_sums), axis=0)
        true_rows = tf.cast(tf.gather(tf.convert_to_tensor(self._table), true_codes), self._precision)
        read = tf.cast(tf.cast(hidden, self._precision), tf.float32)
        true_scores = tf.reduce_sum(read * tf.cast(true_rows, tf.float32), axis=1) + tf.gather(
            tf.convert_to_tensor(self._bias), true_codes
        )
        return tf.reduce_sum((whole - true_scores) * is_label), whole + (1.0 - is_label) * _HUGE

    def _gradients_of_share(
        self,
        hidden: tf.Tensor,
        log_sums: tf.Tensor,
        scale: tf.Tensor,
        table: tf.Tensor,
        bias: tf.Tensor,
        start: tf.Tensor,
        rows: tf.Tensor,
        table_gradient: tf.Tensor,
    ) -> _Found:
        parts = _Parts(tf.cast(hidden, self._precision), table, bias, rows)
        return parts.gradients(log_sums, tf.cast(hidden * scale, self._precision), table_gradient, start)

    def _whole_of(
        self, hidden: tf.Tensor, labels: tf.Tensor, scale: tf.Tensor, found: list[_Found]
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The gradients of hidden, table and bias from all shares."""
        is_label, true_codes = _codes_of(labels)
        expected, places = is_label[:, tf.newaxis], true_codes[:, tf.newaxis]
        # What is left of the gradient, softmax minus one-hot.
        true_rows = tf.gather(tf.convert_to_tensor(self._table), true_codes)
        return (
            (tf.add_n([share.hidden for share in found]) - true_rows * expected) * scale,
            add_rows(found[-1].table, true_codes, hidden * (expected * -scale)),
            tf.tensor_scatter_nd_sub(tf.concat([share.bias for share in found], axis=0), places, is_label)
            * scale,
        )

    def _top_codes_of_chunk(self, hidden: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits = self._logits(hidden)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        most = min(TOP_CODES, self._table.shape[0])
        return tf.reduce_sum(losses), tf.math.top_k(logits, most).indices


def _codes_of(labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """1 where there is a label, else 0; and the labels, 0 where there is none. (M,) each."""
    return tf.cast(labels >= 0, tf.float32), tf.maximum(labels, 0)


class _Parts:
    """hidden (M, H), table (V, H) and bias (V,), of which so many rows at a time; loops, in a tf.function."""

    def __init__(self, hidden: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, rows: tf.Tensor) -> None:
        self.hidden, self.table, self.bias, self._rows = hidden, table, bias, rows
        self._count = -(-tf.shape(table)[0] // rows)

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

    def gradients(
        self, log_sums: tf.Tensor, scaled_hidden: tf.Tensor, table_gradient: tf.Tensor, start: tf.Tensor
    ) -> _Found:
        """Of the sum of log_sums. These rows are the table's from `start` on."""

        def add(part: tf.Tensor, hidden: tf.Tensor, table: tf.Tensor, bias: tf.TensorArray) -> tuple:
            chances = tf.exp(self._scores(part) - log_sums[:, tf.newaxis])
            bias = bias.write(part, tf.reduce_sum(chances, axis=0))
            chances = tf.cast(chances, self.table.dtype)
            found = tf.cast(tf.matmul(chances, scaled_hidden, transpose_a=True), tf.float32)
            first = start + part * self._rows
            table = add_distinct_rows(table, tf.range(first, first + tf.shape(found)[0]), found)
            hidden += tf.cast(tf.matmul(chances, self.table[self._slice(part)]), tf.float32)
            return part + 1, hidden, table, bias

        bias = tf.TensorArray(tf.float32, self._count, infer_shape=False, element_shape=[None])
        _, hidden, table, bias = self._loop(add, tf.zeros_like(self.hidden, tf.float32), table_gradient, bias)
        return _Found(hidden, table, bias.concat())

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
