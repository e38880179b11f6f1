"""What all measurements share: their options, the preset, the data and the device."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.train.recorder import Plan, Recorder
from schemas.manifest import join
from schemas.model_config import BertConfig
from schemas.vocabulary import read_vocabulary
from trainer.__main__ import make_parser
from trainer.config import PretrainConfig
from trainer.core.input.batch import MaskedBatch
from trainer.core.input.order import Position
from trainer.core.input.prefetch import Prefetch
from trainer.core.input.training_input import BatchMaker, StepInput, training_input
from trainer.readers import ReaderName, open_reader
from trainer.readers.base import ShardReader

Pack = Callable[[MaskedBatch], Any]
"""A batch as a way of training takes it; see Backend.pack."""


def options_parser(description: str) -> argparse.ArgumentParser:
    """The options that __main__ hands to every measurement."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", required=True, help="folder with shards/ and vocabulary/")
    parser.add_argument("--preset", required=True)
    parser.add_argument("--batch_size", type=int, required=True)
    parser.add_argument("--warm_up", type=int, required=True)
    parser.add_argument("--repetitions", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--result", required=True, help="the JSON to write")
    return parser


def plan_of(options: argparse.Namespace) -> Plan:
    return Plan(options.warm_up, options.repetitions, options.seconds)


def write_result(options: argparse.Namespace, result: Mapping[str, Any]) -> None:
    with open(options.result, "w", encoding="utf-8") as file:
        json.dump(result, file)


@dataclass(frozen=True)
class Setting:
    """A preset applied to the benchmark's data."""

    config: PretrainConfig
    model: BertConfig
    reader: ShardReader
    maker: BatchMaker
    pad_id: int

    def steps(self, pack: Pack, rank: int = 0, world_size: int = 1) -> Iterator[StepInput]:
        """One rank's training steps without end, as the trainer makes them."""
        config = self.config
        start = Position.start(0, sum(self.reader.shard_rows), world_size, config.batch_size)
        return training_input(self.reader, self.maker, config.seed, rank, start, pack)


def setting_of(
    options: argparse.Namespace, reader: ReaderName = "arrow", more: Sequence[str] = ()
) -> Setting:
    """Read the preset and open the shards. more: options of the trainer. Raises ContractError."""
    parser = make_parser()
    arguments = [
        "pretrain", "--config", options.preset, "--output", "unused",
        "--data.shards", join(options.data, "shards"), "--data.vocabulary", join(options.data, "vocabulary"),
        "--batch_size", str(options.batch_size), "--data.reader", reader, *more,
    ]  # fmt: skip
    values = dict(parser.instantiate(parser.parse_args(arguments))["pretrain"])
    config = PretrainConfig(**{name: value for name, value in values.items() if name != "config"})
    vocabulary = read_vocabulary(config.data.vocabulary)
    return Setting(
        config=config,
        model=config.model.bert_config(len(vocabulary)),
        reader=open_reader(reader, join(config.data.shards, "train")),
        maker=BatchMaker.of(config.masking, vocabulary, config.data.max_seq_length),
        pad_id=vocabulary.special.pad,
    )


def run_steps(
    setting: Setting, recorder: Recorder, train: Callable[[StepInput, int], object], pack: Pack
) -> None:
    """Steps until the recorder has enough, input made ahead in a thread, as in the trainer's loop.

    train: one step, with its number from 1. pack: how it takes a batch.
    """
    prefetched = Prefetch(setting.steps(pack))
    step = 0
    try:
        while not recorder.is_done:
            step += 1
            asked = time.perf_counter()
            step_input = next(prefetched)
            waited = time.perf_counter() - asked
            train(step_input, step)
            recorder.after_step(
                step_input.num_patients, step_input.num_codes, step_input.num_slots, waited_s=waited
            )
    finally:
        prefetched.close()
