"""One step's loss and gradients on this rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

from schemas.bert_names import OUTPUT_BIAS, WORD_EMBEDDINGS
from schemas.model_config import BertConfig
from trainer.core.backend import StepTotals
from trainer.core.input.slots import PackedBatch, PackedPiece
from trainer.tf_backend import table_gradient
from trainer.tf_backend.model import Bert, look_up_words
from trainer.tf_backend.slots import SLOTS_SPEC, Slots, hidden_by_width, packed_slots
from trainer.tf_backend.towers import Towers
from trainer.tf_backend.traced import traced
from trainer.tf_backend.vocabulary_head import VocabularyHead


class _Forward(NamedTuple):
    """One tower's patients up to the heads."""

    slots: Slots
    words: tf.Tensor
    tape: tf.GradientTape
    masked_hidden: tf.Tensor
    los_loss_sum: tf.Tensor
    los_objective: tf.Tensor
    """What is differentiated: los_loss_sum, and the pooler's loss where it learns beside the network"""


class StepGradients:
    """Loss and gradients of a step, traced once for any number of patients and codes."""

    def __init__(
        self,
        config: BertConfig,
        weights: Mapping[str, tf.Variable],
        network: Bert,
        head: VocabularyHead,
        towers: Towers,
        widths: Sequence[int],
    ) -> None:
        """widths: of the rows in which patients are packed."""
        self._weights, self._head, self._towers = weights, head, towers
        self._widths = widths
        self._network = network.traced(len(widths))
        words = tf.TensorSpec([None, config.hidden_size], tf.float32)
        counts = tf.TensorSpec([len(widths)], tf.int32)
        self._hidden_slots = traced(
            lambda patients, row_counts: hidden_by_width(patients, row_counts, widths),
            input_signature=[SLOTS_SPEC.patients, counts],
        )
        self._los_loss = traced(
            _los_loss, input_signature=[tf.TensorSpec([None, 2]), SLOTS_SPEC.prolonged_los]
        )
        self._add_words = traced(
            table_gradient.add_rows, input_signature=[words, tf.TensorSpec([None], tf.int32), words]
        )
        self._sum = traced(lambda towers: tf.nest.map_structure(lambda *found: tf.add_n(found), *towers))

    def __call__(
        self, packed: PackedBatch, totals: StepTotals, seeds: Sequence[int]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """(2,) loss sums (masked codes, prolonged stay) and the gradients of this rank's part of the loss.

        seeds: of each part's dropout. The gradients have the weights' names and order, all dense. Without
        patients they are 0.
        """
        loss_sums = tf.zeros([2])
        gradients = {name: tf.zeros(v.shape) for name, v in self._weights.items() if name != WORD_EMBEDDINGS}
        table = table_gradient.empty(self._weights[WORD_EMBEDDINGS])
        for part, seed in zip(packed.parts, seeds, strict=True):
            sums, found, table = self._of_part(part, totals, seed, table)
            loss_sums += sums
            gradients = self._sum([gradients, found])
        gradients[WORD_EMBEDDINGS] = table
        return loss_sums, {name: gradients[name] for name in self._weights}

    def _of_part(
        self, part: Sequence[PackedPiece], totals: StepTotals, dropout_seed: int, table: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor]:
        """Loss sums; gradients of all but the word embeddings; theirs, added to `table`."""
        others = {name: v for name, v in self._weights.items() if name not in (WORD_EMBEDDINGS, OUTPUT_BIAS)}
        forward = self._towers.map(
            lambda number, piece: self._forward(piece, tf.constant([dropout_seed, number << 32], tf.int64)),
            range(len(part)),
            part,
        )
        head = self._head.loss_and_gradients(
            tf.concat([tower.masked_hidden for tower in forward], axis=0),
            tf.concat([tower.slots.masked_labels for tower in forward], axis=0),
            scale=1 / max(totals.masked_codes, 1),
            table_gradient=table,
        )
        masked = [tower.slots.masked_labels.shape[0] for tower in forward]
        los_scale = tf.constant(1 / max(totals.patients, 1), tf.float32)
        found = self._towers.map(
            lambda tower, hidden: tower.tape.gradient(
                [tower.masked_hidden, tower.los_objective],
                (list(others.values()), tower.words),
                output_gradients=[hidden, los_scale],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            ),
            forward,
            tf.split(head.hidden, masked),
        )
        summed = self._sum([[tf.convert_to_tensor(one) for one in tower[0]] for tower in found])
        table = head.table
        for tower, (_, word_gradients) in zip(forward, found, strict=True):
            table = self._add_words(table, tower.slots.input_ids, word_gradients)
        los_loss_sum = tf.add_n([tower.los_loss_sum for tower in forward])
        gradients = dict(zip(others, summed, strict=True)) | {OUTPUT_BIAS: head.bias}
        return tf.stack([head.loss_sum, los_loss_sum]), gradients, table

    def _forward(self, piece: PackedPiece, dropout_seed: tf.Tensor) -> _Forward:
        slots, row_counts = packed_slots(piece, self._widths)
        words = look_up_words(self._weights, slots.input_ids)
        hidden_slots = self._hidden_slots(slots.patients, row_counts)
        with tf.GradientTape() as tape:
            tape.watch(words)
            encoded = self._network.encode(slots, hidden_slots, words, dropout_seed)
            los_loss_sum = los_objective = self._los_loss(encoded.los_logits, slots.prolonged_los)
            if encoded.pooler_logits is not None:
                los_objective += self._los_loss(encoded.pooler_logits, slots.prolonged_los)
        return _Forward(slots, words, tape, encoded.masked_hidden, los_loss_sum, los_objective)


def _los_loss(logits: tf.Tensor, prolonged_los: tf.Tensor) -> tf.Tensor:
    """Sum over (P, 2), (P,)."""
    return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=prolonged_los, logits=logits))
