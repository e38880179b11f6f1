"""One pretraining run, from its configuration to its last checkpoint."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import fsspec

from schemas.checkpoint import open_checkpoint
from schemas.errors import ContractError
from schemas.files import exists, write_whole
from schemas.lease import hold
from schemas.manifest import is_published, join, read_manifest
from schemas.model import CONFIG_FILE as MODEL_CONFIG_FILE
from schemas.model import KIND as MODEL_KIND
from schemas.model import TOKENIZER_FILE, read_model_tokens
from schemas.model_config import BertConfig, read_object
from schemas.training_log import CONFIG_FILE
from schemas.vocabulary import Vocabulary, read_vocabulary
from trainer.backends import backend_maker, make_tracer
from trainer.config import DataConfig, OptimizerConfig, PretrainConfig
from trainer.core.backend import Backend
from trainer.core.checkpoints import CheckpointStore, TrainingState
from trainer.core.checks import check_data, check_resume
from trainer.core.commits import Commits
from trainer.core.evaluation import Evaluator
from trainer.core.input.order import Position
from trainer.core.input.training_input import BatchMaker, training_input
from trainer.core.loop import train
from trainer.core.metrics import IntervalMeans
from trainer.core.non_finite import Diagnosis
from trainer.core.run import Progress, Run
from trainer.core.run_log import RunLog
from trainer.core.step_trace import StepTrace
from trainer.core.stop import StopRequest, stop_on_sigterm
from trainer.core.storage import file_system, reading, retried
from trainer.core.together import on_first_rank
from trainer.core.world import World, detect_world, is_elastic
from trainer.core.writing import writing
from trainer.readers import open_reader
from trainer.readers.base import ShardReader
from trainer.run_name import run_name
from trainer.stall_check import limit_waiting

LOG = logging.getLogger(__name__)


def main(config: PretrainConfig) -> None:
    """Train as this process's part of the world that launched it. Raises ContractError, Stopped."""
    world = detect_world()
    if world.is_distributed or is_elastic():
        limit_waiting()
    with stop_on_sigterm() as stop:
        if is_elastic():
            from trainer import elastic  # imports Horovod

            elastic.run(config, backend_maker(config), stop, pretrain)
        else:
            pretrain(config, backend_maker(config), world, stop)


def pretrain(
    config: PretrainConfig,
    make_backend: Callable[[BertConfig, OptimizerConfig, World, int], Backend],
    world: World,
    stop: StopRequest | None = None,
    commits: Commits | None = None,
) -> None:
    """Train; goes on from an elastic run's last commit, else from the newest checkpoint, if there is one."""
    stop = stop or StopRequest()
    vocabulary = reading(config.data.vocabulary, lambda: read_vocabulary(config.data.vocabulary))
    train_reader = _open_split(config.data, "train")
    valid_reader = _open_split(config.data, "valid")
    model = config.model.bert_config(len(vocabulary))
    check_data(config, model, vocabulary, train_reader.shards, valid_reader.shards)

    backend = make_backend(model, config.optimizer, world, config.seed)
    maker = BatchMaker.of(config.masking, vocabulary, config.data.max_seq_length)
    run = Run(
        config=config,
        model=model,
        vocabulary=vocabulary,
        shards_fingerprint=train_reader.shards.fingerprint,
        num_patients=train_reader.shards.num_patients,
        world=world,
        backend=backend,
        evaluator=Evaluator(
            backend,
            world,
            train_reader,
            valid_reader,
            BatchMaker.of(config.masking.for_evaluation(), vocabulary, config.data.max_seq_length),
            config.batch_size,
            config.eval_patients,
            stop,
        ),
        checkpoints=CheckpointStore(config.output, config.keep_checkpoints, config.keep_best),
        diagnosis=Diagnosis(
            backend,
            world,
            train_reader,
            maker,
            config.seed,
            config.output,
            detect_anomaly=config.detect_anomaly,
        ),
        stop=stop,
        trace=StepTrace(
            make_tracer(config.backend) if config.profile_steps else None,
            config.profile_steps,
            config.output,
            world,
        ),
        steps=config.steps,
        commits=commits,
    )
    with ExitStack() as held:
        progress = _start(run, train_reader, held)
        run = run.with_steps(progress)
        if progress.step >= run.steps and not progress.evaluation_due:
            LOG.info("%s is already trained to step %d; nothing is left to do", config.output, progress.step)
            return
        log = RunLog(
            config.output, progress.step, writes=world.is_first, evaluation_due=progress.evaluation_due
        )
        held.callback(log.close)
        steps = training_input(train_reader, maker, config.seed, world.rank, progress.position, backend.pack)
        train(run, progress, steps, log)
    if progress.patients_cut:
        LOG.info(
            "%d of the %d patients trained on had more than %d codes and were cut to their latest ones",
            progress.patients_cut,
            progress.patients_seen,
            config.data.max_seq_length,
        )


def _open_split(data: DataConfig, split: str) -> ShardReader:
    uri = join(data.shards, split)
    return reading(uri, lambda: open_reader(data.reader, uri))


def _start(run: Run, train_reader: ShardReader, held: ExitStack) -> Progress:
    """Weights on every rank and the place to begin: a commit's, a checkpoint's, foreign or fresh ones.

    held: gets the first rank's lease on the run's folder.
    """

    def load_on_first_rank() -> dict[str, Any] | None:
        output = run.config.output
        file_system(output)  # its own message where there is no driver
        with writing(output):
            held.enter_context(hold(output, run=run_name(), attempt=lambda acquire: retried(output, acquire)))
        if run.commits is not None and run.commits.state is not None:
            run.commits.restore(run.backend)
            LOG.info("going on from step %d", run.commits.state.step)
            return {"state": run.commits.state.to_json(), "saved_step": run.commits.saved_step}
        found = run.checkpoints.newest()
        if found is None:
            _load_initial_weights(run)
            _write_config(run.config)
            return None
        checkpoint, state = found
        check_resume(
            run.config, run.backend.name, run.model, run.vocabulary, train_reader.shards, checkpoint, state
        )
        reading(checkpoint.uri, lambda: run.backend.load(checkpoint.uri, state.step))
        _write_config(run.config)
        LOG.info("going on from %s", checkpoint.uri)
        return {"state": state.to_json(), "saved_step": state.step}

    found = on_first_rank(run.backend, run.world, "start", load_on_first_rank)
    run.backend.broadcast_weights()
    world_size, batch_size = run.world.size, run.config.batch_size
    if found is None:
        position = Position.start(0, run.num_patients, world_size, batch_size)
        return Progress(0, position, 0, 0, IntervalMeans())
    state = TrainingState.from_json(found["state"])
    return Progress(
        step=state.step,
        position=state.position.for_world(world_size, batch_size),
        patients_seen=state.patients_seen,
        patients_cut=state.patients_cut,
        interval=IntervalMeans(**state.interval),
        validation_loss=state.validation_loss,
        saved_step=found["saved_step"],
        evaluation_due=state.evaluation_due,
    )


def _load_initial_weights(run: Run) -> None:
    source = run.config.init_checkpoint
    if source is None:
        return
    if reading(source, lambda: _is_model_folder(source)):
        if reading(source, lambda: is_published(source)):
            reading(source, lambda: read_manifest(source, MODEL_KIND, verify=True))
        _check_tokens(source, run.vocabulary)
        reading(source, lambda: _check_network(source, run.model))
    elif reading(source, lambda: is_published(source)):
        checkpoint = reading(source, lambda: open_checkpoint(source, verify=True))
        if checkpoint.vocabulary_fingerprint != run.vocabulary.fingerprint:
            raise ContractError(
                f"{source} was trained with vocabulary {checkpoint.vocabulary_fingerprint[:12]}…, "
                f"{run.config.data.vocabulary} is {run.vocabulary.fingerprint[:12]}…",
                "a model's ids mean the codes of its own vocabulary",
                "write the shards with the checkpoint's vocabulary, or start without init_checkpoint",
            )
        reading(source, lambda: _check_network(source, run.model))
    reading(source, lambda: run.backend.load_weights(source))
    LOG.info("starting from the weights of %s", source)


def _is_model_folder(source: str) -> bool:
    """What the conversion wrote: of a checkpoint, or of another model with a changed vocabulary."""
    filesystem, root = fsspec.core.url_to_fs(source)
    return exists(filesystem, join(root, TOKENIZER_FILE))


def _check_tokens(model: str, vocabulary: Vocabulary) -> None:
    """Raises ContractError for a model folder of other tokens."""
    if reading(model, lambda: read_model_tokens(model)) != vocabulary.tokens:
        raise ContractError(
            f"{model} has other tokens than the vocabulary of the shards",
            "a model's ids mean the codes of its own vocabulary",
            "extend the vocabulary (make vocabulary EXTEND=…), write the shards with that, and extend "
            "the model by it (make extend-vocabulary)",
        )


def _check_network(source: str, model: BertConfig) -> None:
    """Refuse weights of a network that computes otherwise, though its shapes are the same.

    source: a folder with a config.json, transformers' or a checkpoint's; what it does not state is not
    compared. Raises ContractError.
    """
    uri = join(source, MODEL_CONFIG_FILE)
    stated, run = read_object(uri), model.to_dict()
    for name in ("num_attention_heads", "hidden_act", "layer_norm_eps"):
        if name in stated and stated[name] != run[name]:
            raise ContractError(
                f"{uri} states {name} {str(stated[name])[:40]}, and this run has {run[name]}",
                "weights mean what they learnt only in the network that they were trained in",
                f"give this run the same model (model.{name}), or start without init_checkpoint",
            )


def _write_config(config: PretrainConfig) -> None:
    filesystem, root = file_system(config.output)
    uri, text = join(config.output, CONFIG_FILE), json.dumps(asdict(config), indent=2, sort_keys=True) + "\n"

    def write() -> None:
        filesystem.makedirs(root, exist_ok=True)
        write_whole(uri, text.encode())

    with writing(uri):
        retried(uri, write)
