"""The TensorFlow side of trainer.core.backend.Backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from schemas.bert_names import OUTPUT_BIAS, WORD_EMBEDDINGS, tensorflow_shapes
from schemas.checkpoint import ADAM_M, ADAM_V, GLOBAL_STEP, TENSORFLOW
from schemas.model_config import BertConfig
from trainer.config import OptimizerConfig
from trainer.core.backend import STEP_OPTIONS, Predictions, StepOptions, StepResult, StepTotals
from trainer.core.backend_rules import dropout_seed, in_batch_order, step_result
from trainer.core.initial_weights import initial_weights
from trainer.core.input.batch import MaskedBatch
from trainer.core.input.slots import PackedBatch, PackedPiece, pack_batch, padded_slots
from trainer.core.world import World
from trainer.tf_backend import anomaly, checkpoint_files
from trainer.tf_backend.adamw import AdamW
from trainer.tf_backend.collectives import Collectives
from trainer.tf_backend.gradients import StepGradients
from trainer.tf_backend.lamb import Lamb
from trainer.tf_backend.model import Bert, look_up_words
from trainer.tf_backend.runtime import configure
from trainer.tf_backend.slots import SLOTS_SPEC, Slots, hidden_by_width, packed_slots, row_widths, to_tensors
from trainer.tf_backend.traced import traced
from trainer.tf_backend.vocabulary_head import VocabularyHead

OPTIMIZERS = {"adamw": AdamW, "lamb": Lamb}
_MOST_SLOTS = {"float32": 8192}
"""Of a part on a CPU, by precision, so that a process of the paper's model stays below 2 GiB."""


class TensorFlowBackend:
    """BERT as plain variables, trained on the GPU of this process's local rank if there is one."""

    name = TENSORFLOW

    def __init__(
        self,
        config: BertConfig,
        optimizer: OptimizerConfig,
        world: World,
        seed: int,
        options: StepOptions = STEP_OPTIONS,
    ) -> None:
        """options.compile says nothing here: TensorFlow's functions are compiled in any case.

        Raises ContractError where there is no GPU for this process.
        """
        self._towers = configure(world)
        self._config, self._world, self._seed = config, world, seed
        on_gpu = bool(tf.config.get_visible_devices("GPU"))
        most_slots = options.max_slots if on_gpu else _MOST_SLOTS.get(options.precision, options.max_slots)
        self._max_slots = min(options.max_slots, most_slots)
        self._compression = options.compression
        self._collectives = Collectives(world)
        self._weights = {
            name: tf.Variable(array, name=name) for name, array in initial_weights(config, seed).items()
        }
        self._network = Bert(config, self._weights)
        products = tf.as_dtype(options.precision)
        self._head = VocabularyHead(
            self._weights[WORD_EMBEDDINGS], self._weights[OUTPUT_BIAS], self._towers, products
        )
        trained = Bert(config, self._weights, products)
        self._widths = row_widths(config.max_position_embeddings)
        self._gradients = StepGradients(
            config, self._weights, trained, self._head, self._towers, self._widths
        )
        self._optimizer = OPTIMIZERS[optimizer.name](self._weights, optimizer)
        self._encode = traced(
            self._encode_packed, input_signature=[SLOTS_SPEC, tf.TensorSpec([len(self._widths)], tf.int32)]
        )
        self._norm = traced(tf.linalg.global_norm)

    def pack(self, batch: MaskedBatch) -> PackedBatch:
        return pack_batch(batch, self._max_slots, self._towers.count)

    def train_step(
        self, packed: PackedBatch, totals: StepTotals, learning_rate: float, step: int
    ) -> StepResult:
        loss_sums, gradients = self._step_gradients(packed, totals, step)
        *summed, loss_sums = self._collectives.sum(
            "step", [*gradients.values(), loss_sums], self._compression
        )
        gradients = dict(zip(gradients, summed, strict=True))
        norm = self._norm(summed)
        result = step_result(*loss_sums.numpy().tolist(), float(norm), totals)
        if result.applied:
            self._optimizer.apply(gradients, norm, learning_rate, step)
        return result

    def predict(self, batch: MaskedBatch) -> Predictions:
        return in_batch_order(batch, ((part, self._predict_part(part)) for part in self.pack(batch).parts))

    def _predict_part(self, part: Sequence[PackedPiece]) -> Predictions:
        found = self._towers.map(self._encode_piece, part)
        labels = np.concatenate([piece.slots.masked_labels[: len(piece.masked)] for piece in part])
        mlm_loss, top_codes = self._head.loss_and_top_codes(
            tf.concat([hidden for hidden, _ in found], axis=0), tf.constant(labels)
        )
        los_logits = tf.concat([logits for _, logits in found], axis=0)
        los_losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=np.concatenate([piece.slots.prolonged_los for piece in part]), logits=los_logits
        )
        scores = los_logits[:, 1] - los_logits[:, 0]
        return Predictions(
            float(mlm_loss), float(tf.reduce_sum(los_losses)), top_codes.numpy(), scores.numpy()
        )

    def step_is_finite(self, packed: PackedBatch, totals: StepTotals, step: int) -> bool:
        loss_sums, gradients = self._step_gradients(packed, totals, step)
        return all(np.isfinite(tensor.numpy()).all() for tensor in (loss_sums, *gradients.values()))

    def find_anomaly(self, packed: PackedBatch, totals: StepTotals, step: int) -> str | None:
        return anomaly.find(self._weights, lambda: self._step_gradients(packed, totals, step))

    def forward(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See Backend.forward. The result `layer_N` is the output of layer N, from 0."""
        shape = (*inputs["input_ids"].shape, self._config.hidden_size)
        arrays, hidden_slots = padded_slots(inputs)
        slots = to_tensors(arrays)
        words = look_up_words(self._weights, slots.input_ids)
        encoded = self._network.encode(slots, [tf.constant(hidden_slots)], words)
        embeddings, *layers = encoded.layers
        sequence_output = encoded.layers[-1]
        mlm_log_probs = self._head.log_probs(encoded.masked_hidden)
        los_log_probs = tf.nn.log_softmax(encoded.los_logits)
        by_patient = {
            "embeddings": embeddings,
            **{f"layer_{number}": layer for number, layer in enumerate(layers)},
            "sequence_output": sequence_output,
        }
        results = {name: tf.reshape(tensor, shape) for name, tensor in by_patient.items()} | {
            "pooled_output": self._network.pooled_output(sequence_output, slots.first_slots),
            "mlm_log_probs": mlm_log_probs,
            "los_log_probs": los_log_probs,
            "mlm_loss": -tf.reduce_mean(tf.gather(mlm_log_probs, slots.masked_labels, batch_dims=1)),
            "los_loss": -tf.reduce_mean(tf.gather(los_log_probs, slots.prolonged_los, batch_dims=1)),
        }
        return {name: tensor.numpy() for name, tensor in results.items()}

    def all_reduce(self, name: str, values: np.ndarray) -> np.ndarray:
        return self._collectives.sum_array(name, values)

    def broadcast_weights(self) -> None:
        self._collectives.broadcast(self._weights | self._slots())

    def rejoin(self, world: World) -> None:
        self._world, self._collectives = world, Collectives(world)

    def snapshot(self) -> dict[str, np.ndarray]:
        return {name: variable.numpy() for name, variable in (self._weights | self._slots()).items()}

    def restore(self, snapshot: dict[str, np.ndarray]) -> None:
        for name, variable in (self._weights | self._slots()).items():
            variable.assign(snapshot[name])

    def save(self, folder: str, step: int) -> list[str]:
        state = self._weights | self._slots() | {GLOBAL_STEP: tf.constant(step, tf.int64)}
        return checkpoint_files.write(folder, step, state)

    def load(self, folder: str, step: int) -> None:
        variables = self._weights | self._slots()
        shapes = {name: tuple(variable.shape) for name, variable in variables.items()} | {GLOBAL_STEP: ()}
        arrays = checkpoint_files.read_all(folder, step, shapes)
        for name, variable in variables.items():
            variable.assign(arrays[name])

    def load_weights(self, source: str) -> None:
        for name, array in checkpoint_files.read_weights(source, tensorflow_shapes(self._config)).items():
            self._weights[name].assign(array)

    def named_weights(self) -> dict[str, np.ndarray]:
        """The weights under BERT's TensorFlow names."""
        return {name: weight.numpy() for name, weight in self._weights.items()}

    def named_gradients(self, packed: PackedBatch, totals: StepTotals, step: int) -> dict[str, np.ndarray]:
        """This rank's part of a step's gradients, under BERT's TensorFlow names."""
        gradients = self._step_gradients(packed, totals, step)[1]
        return {name: gradient.numpy() for name, gradient in gradients.items()}

    def _step_gradients(
        self, packed: PackedBatch, totals: StepTotals, step: int
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        parts = range(len(packed.parts))
        seeds = [dropout_seed(self._seed, step, self._world.rank, number) for number in parts]
        return self._gradients(packed, totals, seeds)

    def _encode_piece(self, piece: PackedPiece) -> tuple[tf.Tensor, tf.Tensor]:
        """masked_hidden, without what fills it up, and los_logits, see Encoded."""
        masked_hidden, los_logits = self._encode(*packed_slots(piece, self._widths))
        return masked_hidden[: len(piece.masked)], los_logits

    def _encode_packed(self, slots: Slots, row_counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """masked_hidden and los_logits, dropout off, in float32. row_counts: as packed_slots gives them."""
        words = look_up_words(self._weights, slots.input_ids)
        hidden_slots = hidden_by_width(slots.patients, row_counts, self._widths)
        encoded = self._network.encode(slots, hidden_slots, words)
        return encoded.masked_hidden, encoded.los_logits

    def _slots(self) -> dict[str, tf.Variable]:
        """`<variable>/adam_m`, `<variable>/adam_v`"""
        kinds = ((ADAM_M, self._optimizer.m), (ADAM_V, self._optimizer.v))
        return {f"{name}/{kind}": slots[name] for name in self._weights for kind, slots in kinds}
