"""One step's loss and gradients on this rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from schemas.bert_names import OUTPUT_BIAS, WORD_EMBEDDINGS
from schemas.model_config import BertConfig
from trainer.core.backend import StepTotals
from trainer.core.batch import MaskedBatch
from trainer.tf_backend.dropout import Dropout
from trainer.tf_backend.model import Bert, Block, look_up_words, to_block
from trainer.tf_backend.vocabulary_head import VocabularyHead

_INTS = tf.TensorSpec([None], tf.int32)
_INTS_BY_PATIENT = tf.TensorSpec([None, None], tf.int32)
_FLOATS = tf.TensorSpec([None, None], tf.float32)
BLOCK_SPEC = Block(_INTS_BY_PATIENT, _INTS_BY_PATIENT, _FLOATS, _INTS, _INTS, _INTS)
_SEED_SPEC = tf.TensorSpec([2], tf.int64)


class StepGradients:
    """Loss and gradients of a step, traced once for blocks of any shape."""

    def __init__(
        self, config: BertConfig, weights: Mapping[str, tf.Variable], network: Bert, head: VocabularyHead
    ) -> None:
        self._weights, self._network, self._head = weights, network, head
        words = tf.TensorSpec([None, config.hidden_size], tf.float32)
        self._encode = tf.function(
            self._masked_hidden_and_loss, input_signature=[BLOCK_SPEC, words, _SEED_SPEC]
        )
        self._add_words = tf.function(
            tf.tensor_scatter_nd_add, input_signature=[_FLOATS, tf.TensorSpec([None, 1], tf.int32), words]
        )

    def __call__(
        self, blocks: Sequence[MaskedBatch], totals: StepTotals, dropout_seeds: Sequence[int]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """(2,) loss sums (masked codes, prolonged stay) and the gradients of this rank's part of the loss.

        The gradients have the weights' names and order, all dense. dropout_seeds: one a block. Blocks without
        patients are skipped; with no block left the gradients are 0.
        """
        kept = [
            (to_block(batch), tf.constant([seed, 0], tf.int64))
            for batch, seed in zip(blocks, dropout_seeds, strict=True)
            if len(batch.lengths)
        ]
        words = [look_up_words(self._weights, block.input_ids) for block, _ in kept]
        masked_hidden, los_losses = [], [tf.zeros([])]
        with tf.GradientTape() as tape:
            tape.watch(words)
            for (block, seed), block_words in zip(kept, words, strict=True):
                hidden, los_loss = self._encode(block, block_words, seed)
                masked_hidden.append(hidden)
                los_losses.append(los_loss)
            los_loss_sum = tf.add_n(los_losses)

        # One pass of the vocabulary head for all blocks: it costs the table's size, whatever is masked.
        table = self._weights[WORD_EMBEDDINGS]
        head = self._head.loss_and_gradients(
            tf.concat([tf.zeros([0, table.shape[1]]), *masked_hidden], axis=0),
            tf.concat([tf.zeros([0], tf.int32), *(block.masked_labels for block, _ in kept)], axis=0),
            scale=1 / max(totals.masked_codes, 1),
        )
        others = {name: v for name, v in self._weights.items() if name not in (WORD_EMBEDDINGS, OUTPUT_BIAS)}
        found, word_gradients = tape.gradient(
            [*masked_hidden, los_loss_sum],
            (list(others.values()), words),
            output_gradients=[
                *(tf.split(head.hidden, [len(part) for part in masked_hidden]) if kept else ()),
                tf.constant(1 / max(totals.patients, 1), tf.float32),
            ],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        table_gradient = head.table
        if kept:  # at once: each addition copies the table's gradient
            input_ids = tf.concat([tf.reshape(block.input_ids, [-1, 1]) for block, _ in kept], axis=0)
            table_gradient = self._add_words(table_gradient, input_ids, tf.concat(word_gradients, axis=0))
        gradients = dict(zip(others, map(tf.convert_to_tensor, found), strict=True))
        gradients |= {WORD_EMBEDDINGS: table_gradient, OUTPUT_BIAS: head.bias}
        return tf.stack([head.loss_sum, los_loss_sum]), {name: gradients[name] for name in self._weights}

    def _masked_hidden_and_loss(
        self, block: Block, words: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        encoded = self._network.encode(block, words, Dropout(seed))
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=block.prolonged_los, logits=encoded.los_logits
        )
        return encoded.masked_hidden, tf.reduce_sum(losses)
