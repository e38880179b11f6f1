"""(c) What a user would pick instead: transformers' Trainer, BertForPreTraining, padding to the longest.

The stay label is learnt by the next-sentence head. Patients, masks, model and the optimiser's settings are
those of the preset; everything else is Trainer's own default.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import torch
import transformers

from benchmarks.train.device import torch_device
from benchmarks.train.padded import pad
from benchmarks.train.recorder import Recorder
from benchmarks.train.setup import Setting, options_parser, plan_of, setting_of, write_result
from trainer.core.input.masking import training_key
from trainer.core.input.ragged import concatenate, take
from trainer.torch_backend.model import build_model

NOT_MASKED = -100  # a label that the loss leaves out


class PadToLongest:
    """Rows → masked tensors, padded to the longest patient of the batch; notes what each batch had."""

    def __init__(self, setting: Setting) -> None:
        self._maker, self._pad_id = setting.maker, setting.pad_id
        self._key = training_key(setting.config.seed, 0)
        reader = setting.reader
        self._patients = concatenate([reader.read(number) for number in range(len(reader.shard_rows))])
        self.counts: list[tuple[int, int, int]] = []
        """Patients, codes and slots of each batch"""

    def __call__(self, rows: list[int]) -> dict[str, torch.Tensor]:
        masked, _ = self._maker.prepare(take(self._patients, np.asarray(rows)), self._key)
        padded = pad(masked, self._pad_id)
        self.counts.append((masked.patients.num_patients, masked.patients.num_codes, padded.num_slots))
        labels = np.full(padded.num_slots, NOT_MASKED, np.int64)
        labels[padded.masked_slots] = padded.masked_labels
        arrays = {
            "input_ids": padded.input_ids,
            "token_type_ids": padded.visit_numbers,
            "attention_mask": padded.real,
            "labels": labels.reshape(padded.input_ids.shape),
            "next_sentence_label": padded.prolonged_los,
        }
        return {name: torch.from_numpy(array.astype(np.int64)) for name, array in arrays.items()}


class Record(transformers.TrainerCallback):
    """Tells the recorder of each step, and ends training when it has enough."""

    def __init__(self, recorder: Recorder, collator: PadToLongest) -> None:
        self._recorder, self._collator = recorder, collator

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._recorder.after_step(*self._collator.counts[state.global_step - 1])
        control.should_training_stop = self._recorder.is_done


def main() -> None:
    options = options_parser(__doc__ or "").parse_args()
    setting = setting_of(options)
    optimizer = setting.config.optimizer
    device = torch_device()
    recorder, collator = Recorder(plan_of(options), device.synchronise), PadToLongest(setting)
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=setting.config.batch_size,
            max_steps=setting.config.steps,
            learning_rate=optimizer.learning_rate,
            weight_decay=optimizer.weight_decay,
            adam_beta1=optimizer.beta_1,
            adam_beta2=optimizer.beta_2,
            adam_epsilon=optimizer.epsilon,
            max_grad_norm=optimizer.clip_norm,
            remove_unused_columns=False,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=setting.config.seed,
        )
        trainer = transformers.Trainer(
            model=build_model(setting.model),
            args=arguments,
            data_collator=collator,
            train_dataset=range(sum(setting.reader.shard_rows)),
            callbacks=[Record(recorder, collator)],
        )
        trainer.train()
    write_result(options, recorder.summary() | device.to_json())


if __name__ == "__main__":
    main()
