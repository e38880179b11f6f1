"""One step's loss and gradients on this rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from schemas.bert_names import OUTPUT_BIAS, WORD_EMBEDDINGS
from schemas.model_config import BertConfig
from trainer.core.backend import StepTotals
from trainer.core.batch import MaskedBatch
from trainer.tf_backend.dropout import Dropout
from trainer.tf_backend.model import Bert, look_up_words
from trainer.tf_backend.slots import SLOTS_SPEC, Slots, hidden_by_width, pack_slots, row_widths
from trainer.tf_backend.vocabulary_head import VocabularyHead

_FLOATS = tf.TensorSpec([None, None], tf.float32)
_SEED_SPEC = tf.TensorSpec([2], tf.int64)


class StepGradients:
    """Loss and gradients of a step, traced once for any number of patients and codes."""

    def __init__(
        self, config: BertConfig, weights: Mapping[str, tf.Variable], network: Bert, head: VocabularyHead
    ) -> None:
        self._weights, self._network, self._head = weights, network, head
        self._widths = row_widths(config.max_position_embeddings)
        words = tf.TensorSpec([None, config.hidden_size], tf.float32)
        counts = tf.TensorSpec([len(self._widths)], tf.int32)
        self._encode = tf.function(
            self._masked_hidden_and_loss, input_signature=[SLOTS_SPEC, counts, words, _SEED_SPEC]
        )
        self._add_words = tf.function(
            tf.tensor_scatter_nd_add, input_signature=[_FLOATS, tf.TensorSpec([None, 1], tf.int32), words]
        )

    def __call__(
        self, blocks: Sequence[MaskedBatch], totals: StepTotals, dropout_seed: int
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """(2,) loss sums (masked codes, prolonged stay) and the gradients of this rank's part of the loss.

        The gradients have the weights' names and order, all dense. With no patient in any block they are 0.
        """
        blocks = [block for block in blocks if len(block.lengths)]
        if not blocks:
            return tf.zeros([2]), {name: tf.zeros(weight.shape) for name, weight in self._weights.items()}
        slots, row_counts = pack_slots(blocks, self._widths)
        words = look_up_words(self._weights, slots.input_ids)
        with tf.GradientTape() as tape:
            tape.watch(words)
            masked_hidden, los_loss_sum = self._encode(
                slots, row_counts, words, tf.constant([dropout_seed, 0], tf.int64)
            )
        head = self._head.loss_and_gradients(
            masked_hidden, slots.masked_labels, scale=1 / max(totals.masked_codes, 1)
        )
        others = {name: v for name, v in self._weights.items() if name not in (WORD_EMBEDDINGS, OUTPUT_BIAS)}
        found, word_gradients = tape.gradient(
            [masked_hidden, los_loss_sum],
            (list(others.values()), words),
            output_gradients=[head.hidden, tf.constant(1 / max(totals.patients, 1), tf.float32)],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        gradients = dict(zip(others, map(tf.convert_to_tensor, found), strict=True))
        table_gradient = self._add_words(head.table, slots.input_ids[:, tf.newaxis], word_gradients)
        gradients |= {WORD_EMBEDDINGS: table_gradient, OUTPUT_BIAS: head.bias}
        return tf.stack([head.loss_sum, los_loss_sum]), {name: gradients[name] for name in self._weights}

    def _masked_hidden_and_loss(
        self, slots: Slots, row_counts: tf.Tensor, words: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        hidden_slots = hidden_by_width(slots.patients, row_counts, self._widths)
        encoded = self._network.encode(slots, hidden_slots, words, Dropout(seed))
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=slots.prolonged_los, logits=encoded.los_logits
        )
        return encoded.masked_hidden, tf.reduce_sum(losses)
