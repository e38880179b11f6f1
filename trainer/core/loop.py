"""The training loop, once for both backends."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, NoReturn

import numpy as np

from schemas.model_config import BertConfig
from schemas.training_log import CHECKPOINT, EVAL, START, STOP, TRAIN
from schemas.vocabulary import Vocabulary
from trainer.config import PretrainConfig
from trainer.core.backend import Backend, StepResult, StepTotals
from trainer.core.checkpoints import CheckpointStore, TrainingState
from trainer.core.clock import Clock
from trainer.core.commits import Commits, RanksChange
from trainer.core.evaluation import EvaluationStopped, Evaluator, validation_loss
from trainer.core.metrics import IntervalMeans
from trainer.core.non_finite import Diagnosis
from trainer.core.order import Position
from trainer.core.prefetch import Prefetch
from trainer.core.run_log import RunLog, evaluation_line, progress_line
from trainer.core.schedule import learning_rate
from trainer.core.stop import Stopped, StopRequest
from trainer.core.together import OtherRankFailed, failure_flags, on_every_rank
from trainer.core.training_input import StepInput
from trainer.core.world import World

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RankTotals:
    """What the ranks add up before each step."""

    patients: int = 0
    codes: int = 0
    masked_codes: int = 0
    slots: int = 0
    patients_cut: int = 0

    @classmethod
    def of(cls, step_input: StepInput) -> RankTotals:
        return cls(
            step_input.num_patients,
            step_input.num_codes,
            step_input.num_masked,
            step_input.num_slots,
            step_input.num_cut,
        )


@dataclass(frozen=True)
class Agreed:
    """What every rank knows before each step."""

    stop: list[int]
    """Ranks that are asked to stop."""
    hosts_changed: bool


@dataclass
class Progress:
    """What changes from step to step, and a checkpoint keeps."""

    step: int
    position: Position
    patients_seen: int
    patients_cut: int
    interval: IntervalMeans
    validation_loss: float | None = None
    """Of this step, if it was evaluated."""
    saved_step: int = 0
    """Step of the newest checkpoint; at step 0 there is nothing to save."""
    evaluation_due: bool = False
    """This step's evaluation was given up to stop in time."""


@dataclass(frozen=True)
class Run:
    """What stays the same while a run trains."""

    config: PretrainConfig
    model: BertConfig
    vocabulary: Vocabulary
    shards_fingerprint: str
    num_patients: int
    world: World
    backend: Backend
    evaluator: Evaluator
    checkpoints: CheckpointStore
    diagnosis: Diagnosis
    stop: StopRequest
    commits: Commits | None
    """Of an elastic run."""


def train(run: Run, progress: Progress, steps: Iterator[StepInput], log: RunLog) -> None:
    """Train from where `progress` stands to the last step.

    Raises ContractError, OtherRankFailed, RankLost, Stopped, RanksChange.
    """
    config = run.config
    log.write(START, progress.step, _start_values(run))
    clock = Clock()
    first_step = progress.step
    prefetched = Prefetch(steps)
    try:
        _commit(run, progress)
        if progress.evaluation_due:
            with clock.aside():
                _evaluate(run, progress, log)
        while progress.step < config.steps:
            with clock.waiting():
                step_input, totals, agreed = _next_input(run, prefetched)
            if agreed.stop:
                _stop(run, progress, log, agreed.stop)
            if agreed.hosts_changed:
                _commit(run, progress)
                raise RanksChange(progress.step)
            rate = _rate(config, progress.step + 1)
            result = _train_step(run, progress, step_input, totals, rate, log)
            _advance(progress, step_input, totals, result)
            clock.count(totals.patients, totals.codes)
            is_last = progress.step == config.steps
            if is_last or progress.step % config.log_every == 0:
                _log_training(run, progress, clock, log, rate, first_step)
            with clock.aside():
                if is_last or progress.step % config.eval_every == 0:
                    _evaluate(run, progress, log)
                if is_last or progress.step % config.checkpoint_every == 0:
                    _save(run, progress, log)
                if progress.step % config.commit_every == 0:
                    _commit(run, progress)
    finally:
        prefetched.close()


def _next_input(run: Run, steps: Prefetch[StepInput]) -> tuple[StepInput, RankTotals, Agreed]:
    """This rank's input of the next step, all ranks' totals, and what else they must agree on.

    One sum tells every rank the same, so all stop before the same step. If one cannot read, all fail.
    """
    error: Exception | None = None
    step_input = None
    local = RankTotals()
    try:
        step_input = next(steps)
        local = RankTotals.of(step_input)
    except Exception as caught:  # raised again below, once all ranks know
        error = caught
    numbers = [getattr(local, field.name) for field in fields(RankTotals)]
    hosts_changed = run.commits is not None and run.commits.hosts_changed
    flags = [failure_flags(run.world, flag) for flag in (error is not None, run.stop.asked, hosts_changed)]
    summed = run.backend.all_reduce("step_totals", np.concatenate([np.asarray(numbers, np.int64), *flags]))
    if error is not None:
        raise error
    failed, asked, changed = (np.flatnonzero(part).tolist() for part in np.split(summed[len(numbers) :], 3))
    if failed:
        raise OtherRankFailed(failed)
    assert step_input is not None
    return step_input, RankTotals(*summed[: len(numbers)].tolist()), Agreed(asked, bool(changed))


def _stop(run: Run, progress: Progress, log: RunLog, ranks: list[int]) -> NoReturn:
    """Save what the last checkpoint does not have, and leave. ranks: those that were asked to."""
    if progress.step > progress.saved_step:
        _save(run, progress, log)
    _log_stop(run, progress, log, {"reason": "SIGTERM", "ranks": ranks})
    raise Stopped(progress.step, ranks, run.config.output)


def _train_step(
    run: Run, progress: Progress, step_input: StepInput, totals: RankTotals, rate: float, log: RunLog
) -> StepResult:
    """The next step. Raises NotFinite, on every rank."""
    step, blocks = progress.step + 1, step_input.blocks
    divisors = StepTotals(totals.masked_codes, totals.patients)
    result = run.backend.train_step(blocks, divisors, rate, step)
    if not result.applied:
        error = run.diagnosis.explain(step, progress.position, blocks, divisors)
        _log_stop(run, progress, log, {"reason": "not finite", "found": error.to_json()})
        raise error
    return result


def _log_stop(run: Run, progress: Progress, log: RunLog, values: dict[str, Any]) -> None:
    """Log why the run ends. No rank leaves before that: once one has, the launcher kills the others."""
    on_every_rank(run.backend, run.world, "stop", lambda: log.write(STOP, progress.step, values))


def _rate(config: PretrainConfig, step: int) -> float:
    optimizer = config.optimizer
    return learning_rate(
        step, peak=optimizer.learning_rate, warmup_steps=optimizer.warmup_steps, steps=config.steps
    )


def _advance(progress: Progress, step_input: StepInput, totals: RankTotals, result: StepResult) -> None:
    progress.step += 1
    progress.validation_loss = None
    progress.evaluation_due = False
    progress.position = step_input.position
    progress.patients_seen += totals.patients
    progress.patients_cut += totals.patients_cut
    progress.interval.add(
        patients=totals.patients,
        codes=totals.codes,
        masked_codes=totals.masked_codes,
        slots=totals.slots,
        mlm_loss=result.mlm_loss,
        los_loss=result.los_loss,
        gradient_norm=result.gradient_norm,
    )


def _start_values(run: Run) -> dict[str, str | int]:
    return {
        "backend": run.backend.name,
        "world_size": run.world.size,
        "batch_size": run.config.batch_size,
        "steps": run.config.steps,
        "num_patients": run.num_patients,
        "vocabulary_size": len(run.vocabulary),
    }


def _log_training(
    run: Run, progress: Progress, clock: Clock, log: RunLog, rate: float, first_step: int
) -> None:
    values = {
        "epoch": progress.position.epoch,
        "patients_seen": progress.patients_seen,
        "learning_rate": rate,
        **progress.interval.means(),
        **clock.lap(),
        "seconds": clock.seconds,
    }
    log.write(TRAIN, progress.step, values)
    seconds_left = clock.seconds / (progress.step - first_step) * (run.config.steps - progress.step)
    LOG.info("%s", progress_line(progress.step, run.config.steps, values, seconds_left))
    progress.interval = IntervalMeans()


def _evaluate(run: Run, progress: Progress, log: RunLog) -> None:
    try:
        values = run.evaluator.evaluate()
    except EvaluationStopped as stopped:
        progress.evaluation_due = True
        _stop(run, progress, log, stopped.ranks)
    progress.evaluation_due = False
    if values is not None:
        progress.validation_loss = validation_loss(values)
        log.write(EVAL, progress.step, values)
        LOG.info("%s", evaluation_line(progress.step, values))


def _save(run: Run, progress: Progress, log: RunLog) -> None:
    def save() -> None:
        if not run.world.is_first:
            return
        uri = run.checkpoints.save(run.backend, run.model, run.vocabulary, _state(run, progress))
        folder = uri.removeprefix(run.config.output.rstrip("/") + "/")
        values = {"folder": folder, "validation_loss": progress.validation_loss}
        log.write(CHECKPOINT, progress.step, values)
        LOG.info("saved %s", uri)

    on_every_rank(run.backend, run.world, "save", save)
    progress.saved_step = progress.step


def _commit(run: Run, progress: Progress) -> None:
    if run.commits is not None:
        run.commits.keep(run.backend, _state(run, progress))


def _state(run: Run, progress: Progress) -> TrainingState:
    return TrainingState(
        step=progress.step,
        position=progress.position,
        seed=run.config.seed,
        shards_fingerprint=run.shards_fingerprint,
        patients_seen=progress.patients_seen,
        patients_cut=progress.patients_cut,
        interval=asdict(progress.interval),
        config=asdict(run.config),
        validation_loss=progress.validation_loss,
        evaluation_due=progress.evaluation_due,
    )
