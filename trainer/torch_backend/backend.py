"""The PyTorch side of trainer.core.backend.Backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from schemas.bert_names import OUTPUT_BIAS, WORD_EMBEDDINGS, Row, rows_for
from schemas.checkpoint import ADAM_M, ADAM_V, TORCH, TORCH_MODEL_FILE, TORCH_OPTIMIZER_FILE
from schemas.model_config import BertConfig
from trainer.config import OptimizerConfig
from trainer.core.backend import STEP_OPTIONS, Predictions, StepOptions, StepResult, StepTotals
from trainer.core.backend_rules import (
    dropout_seed,
    gpu_of,
    in_batch_order,
    step_result,
    threads_per_process,
)
from trainer.core.initial_weights import initial_weights
from trainer.core.input.batch import MaskedBatch
from trainer.core.input.slots import PackedBatch, PackedPiece, pack_batch, padded_slots
from trainer.core.world import World
from trainer.torch_backend import anomaly, vocabulary_head, weights_files
from trainer.torch_backend.adamw import AdamW
from trainer.torch_backend.collectives import Collectives
from trainer.torch_backend.gradients import step_gradients
from trainer.torch_backend.lamb import Lamb
from trainer.torch_backend.memory import keep_freed_memory
from trainer.torch_backend.model import (
    Encoded,
    Encoder,
    build_model,
    from_tensorflow,
    look_up_words,
    tensorflow_named_parameters,
    to_tensorflow,
)
from trainer.torch_backend.regions import EAGER, Watch, compiled
from trainer.torch_backend.slots import Slots, arrival, packed_slots, row_slots

OPTIMIZERS = {"adamw": AdamW, "lamb": Lamb}


class TorchBackend:
    """transformers' BertForPreTraining, trained on the GPU of this process's local rank if there is one."""

    name = TORCH

    def __init__(
        self,
        config: BertConfig,
        optimizer: OptimizerConfig,
        world: World,
        seed: int,
        options: StepOptions = STEP_OPTIONS,
    ) -> None:
        """Raises ContractError where there is nothing to compile with, or no GPU for this process."""
        torch.set_num_threads(threads_per_process())
        device = torch.device("cpu")
        if torch.cuda.is_available():
            device = torch.device("cuda", gpu_of(world, torch.cuda.device_count()))
            torch.cuda.set_device(device)
        else:
            keep_freed_memory()
        self._config, self._world, self._seed, self._device = config, world, seed, device
        self._precision = getattr(torch, options.precision)
        self._max_slots, self._compression = options.max_slots, options.compression
        self._regions = compiled(device) if options.compile else EAGER
        self._collectives = Collectives(world)
        self._model = build_model(config)
        self._set_weights(from_tensorflow(initial_weights(config, seed), config))
        self._model.to(device)
        self._parameters = tensorflow_named_parameters(self._model, config)
        self._optimizer = OPTIMIZERS[optimizer.name](self._parameters, optimizer)
        self.runs_ahead = device.type == "cuda" and self._optimizer.can_skip
        self._failed = torch.zeros((), device=device)
        """1 once a step that was begun was not finite."""

    def pack(self, batch: MaskedBatch) -> PackedBatch:
        return pack_batch(batch, self._max_slots)

    def train_step(
        self, packed: PackedBatch, totals: StepTotals, learning_rate: float, step: int
    ) -> StepResult:
        gradients, numbers = self._summed_gradients(packed, totals, step)
        result = step_result(*numbers.tolist(), totals)
        if result.applied:
            self._optimizer.apply(gradients, numbers[2], learning_rate, step)
        return result

    def begin_step(
        self, packed: PackedBatch, totals: StepTotals, learning_rate: float, step: int
    ) -> Callable[[], StepResult]:
        """See AheadBackend. The GPU itself decides whether the update is applied."""
        gradients, numbers = self._summed_gradients(packed, totals, step)
        self._failed = torch.maximum(self._failed, 1 - numbers.isfinite().all().float())
        self._optimizer.apply(gradients, numbers[2], learning_rate, step, skip=self._failed)
        read = arrival(numbers)
        return lambda: step_result(*read(), totals)

    def _summed_gradients(
        self, packed: PackedBatch, totals: StepTotals, step: int
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Over all ranks; and (3,) loss sums (masked codes, prolonged stay) and gradient norm."""
        loss_sums, gradients = self._step_gradients(packed, totals, step)
        self._collectives.sum_in_place("step", [*gradients.values(), loss_sums], self._compression)
        norm = torch.nn.utils.get_total_norm(list(gradients.values()))
        return gradients, torch.cat([loss_sums, norm[None]])

    @torch.inference_mode()
    def predict(self, batch: MaskedBatch) -> Predictions:
        pieces = self._pieces(self.pack(batch))
        return in_batch_order(batch, (([piece], self._predict_piece(piece)) for piece in pieces))

    def _predict_piece(self, piece: PackedPiece) -> Predictions:
        slots = packed_slots(piece, self._device)
        encoded, masked = self._encode(slots), len(piece.masked)
        mlm_loss, top_codes = vocabulary_head.loss_and_top_codes(
            encoded.masked_hidden[:masked], *self._head_weights(), slots.masked_labels[:masked]
        )
        los_logits = encoded.los_logits
        los_loss = torch.nn.functional.cross_entropy(los_logits, slots.prolonged_los, reduction="sum")
        scores = los_logits[:, 1] - los_logits[:, 0]
        return Predictions(mlm_loss.item(), los_loss.item(), top_codes.cpu().numpy(), scores.cpu().numpy())

    def step_is_finite(self, packed: PackedBatch, totals: StepTotals, step: int) -> bool:
        loss_sums, gradients = self._step_gradients(packed, totals, step)
        return all(bool(tensor.isfinite().all()) for tensor in (loss_sums, *gradients.values()))

    def find_anomaly(self, packed: PackedBatch, totals: StepTotals, step: int) -> str | None:
        return anomaly.find(
            self._model, self._parameters, lambda watch: self._step_gradients(packed, totals, step, watch)
        )

    @torch.inference_mode()
    def forward(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See Backend.forward. The result `layer_N` is the output of layer N, from 0."""
        patients, length = inputs["input_ids"].shape
        slots = row_slots(*padded_slots(inputs), self._device)
        encoded = self._encode(slots)
        mlm_log_probs = vocabulary_head.all_log_probs(encoded.masked_hidden, *self._head_weights())
        los_log_probs = torch.log_softmax(encoded.los_logits, dim=1)
        embeddings, *layers = (layer.view(patients, length, -1) for layer in encoded.layers)
        sequence_output = layers[-1] if layers else embeddings
        results = {
            "embeddings": embeddings,
            **{f"layer_{number}": layer for number, layer in enumerate(layers)},
            "sequence_output": sequence_output,
            "pooled_output": self._model.bert.pooler(sequence_output),
            "mlm_log_probs": mlm_log_probs,
            "los_log_probs": los_log_probs,
            "mlm_loss": torch.nn.functional.nll_loss(mlm_log_probs, slots.masked_labels),
            "los_loss": torch.nn.functional.nll_loss(los_log_probs, slots.prolonged_los),
        }
        return {name: tensor.cpu().numpy() for name, tensor in results.items()}

    def all_reduce(self, name: str, values: np.ndarray) -> np.ndarray:
        return self._collectives.sum_array(name, values)

    def broadcast_weights(self) -> None:
        self._collectives.broadcast(self._state())

    def rejoin(self, world: World) -> None:
        self._world, self._collectives = world, Collectives(world)

    def snapshot(self) -> dict[str, torch.Tensor]:
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in self._state().items()}

    @torch.no_grad()
    def restore(self, snapshot: dict[str, torch.Tensor]) -> None:
        for name, tensor in self._state().items():
            tensor.copy_(snapshot[name])

    def save(self, folder: str, step: int) -> list[str]:
        weights = {row.transformers: self._parameters[row.tensorflow] for row in self._rows()}
        weights_files.write(folder, TORCH_MODEL_FILE, weights)
        weights_files.write(folder, TORCH_OPTIMIZER_FILE, self._slots())
        return list(weights_files.FILES)

    def load(self, folder: str, step: int) -> None:
        weights = weights_files.read_weights(folder, self._config)
        slots = weights_files.read_slots(folder, self._config)
        self._set_weights(weights)
        for name, slot in self._slots().items():
            slot.copy_(slots[name])

    def load_weights(self, source: str) -> None:
        """See Backend.load_weights; also takes a model folder that the conversion wrote."""
        self._set_weights(weights_files.read_weights(source, self._config))

    def named_weights(self) -> dict[str, np.ndarray]:
        """The weights under BERT's TensorFlow names and in its layout."""
        return to_tensorflow(dict(self._model.named_parameters()), self._config)

    def named_gradients(self, packed: PackedBatch, totals: StepTotals, step: int) -> dict[str, np.ndarray]:
        """This rank's part of a step's gradients, under BERT's TensorFlow names and in its layout."""
        gradients = self._step_gradients(packed, totals, step)[1]
        return to_tensorflow(
            {row.transformers: gradients[row.tensorflow] for row in self._rows()}, self._config
        )

    def _step_gradients(
        self, packed: PackedBatch, totals: StepTotals, step: int, watch: Watch | None = None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss_sums = torch.zeros(2, device=self._device)
        gradients: dict[str, torch.Tensor] = {}
        for number, piece in enumerate(self._pieces(packed)):
            sums, found = step_gradients(
                self._model,
                self._parameters,
                piece,
                totals,
                dropout_seed(self._seed, step, self._world.rank, number),
                self._precision,
                watch,
                EAGER if watch else self._regions,
            )
            loss_sums += sums
            if gradients:
                torch._foreach_add_(list(gradients.values()), list(found.values()))
            else:
                gradients = found
        return loss_sums, gradients or {
            name: torch.zeros_like(parameter) for name, parameter in self._parameters.items()
        }

    @staticmethod
    def _pieces(packed: PackedBatch) -> list[PackedPiece]:
        """One after the other."""
        return [piece for part in packed.parts for piece in part]

    def _encode(self, slots: Slots) -> Encoded:
        """Dropout off, in float32."""
        return Encoder(self._model).encode(slots, look_up_words(self._model, slots.input_ids))

    @torch.no_grad()
    def _set_weights(self, weights: dict[str, torch.Tensor]) -> None:
        for name, parameter in self._model.named_parameters():
            parameter.copy_(weights[name])

    def _head_weights(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self._parameters[WORD_EMBEDDINGS], self._parameters[OUTPUT_BIAS]

    def _rows(self) -> tuple[Row, ...]:
        return rows_for(self._config.num_hidden_layers)

    def _state(self) -> dict[str, torch.Tensor]:
        """Weights and slots themselves, no copies."""
        weights = {f"weights/{name}": parameter.data for name, parameter in self._parameters.items()}
        return weights | self._slots()

    def _slots(self) -> dict[str, torch.Tensor]:
        """`<parameter>/adam_m`, `<parameter>/adam_v` by transformers' parameter names."""
        kinds = ((ADAM_M, self._optimizer.m), (ADAM_V, self._optimizer.v))
        return {
            weights_files.slot_name(row.transformers, kind): slots[row.tensorflow]
            for row in self._rows()
            for kind, slots in kinds
        }
