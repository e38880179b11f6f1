"""The gradient of the word embeddings, the largest array of a step: there is one of it, which is added to.

TensorFlow's own scatter would copy it, once for each use of what an eager function is handed.
"""

from __future__ import annotations

import tensorflow as tf


def empty(table: tf.Variable) -> tf.Tensor:
    """(V, H) zeros, which nothing else reads."""
    return tf.raw_ops.Empty(shape=table.shape, dtype=tf.float32, init=True)


def add_distinct_rows(table: tf.Tensor, rows: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """The same table (V, H), in place; go on with what is returned. rows: (R,); values: (R, H)."""
    return tf.raw_ops.InplaceAdd(x=table, i=rows, v=values)


def add_rows(table: tf.Tensor, rows: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """As add_distinct_rows; rows may be named more than once, for which a GPU needs a copy of the table."""
    if tf.config.get_visible_devices("GPU"):
        return tf.tensor_scatter_nd_add(table, rows[:, tf.newaxis], values)
    return add_distinct_rows(table, rows, values)
