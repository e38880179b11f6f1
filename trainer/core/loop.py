"""The training loop, once for both backends."""

from __future__ import annotations

from collections.abc import Iterator

from trainer.core.boundary import commit, evaluate, log_start, log_training, save, stop_run
from trainer.core.clock import Clock
from trainer.core.commits import RanksChange
from trainer.core.input.prefetch import Prefetch
from trainer.core.input.training_input import StepInput
from trainer.core.run import Progress, Run
from trainer.core.run_log import RunLog
from trainer.core.step import BegunStep, begin_step, end_step, next_input, runs_ahead


def train(run: Run, progress: Progress, steps: Iterator[StepInput], log: RunLog) -> None:
    """Train from where `progress` stands to the last step.

    Raises ContractError, OtherRankFailed, RankLost, Stopped, RanksChange.
    """
    log_start(run, progress, log)
    clock = Clock()
    first_step = progress.step
    prefetched = Prefetch(steps)
    try:
        if progress.evaluation_due:
            with clock.aside():
                evaluate(run, progress, log)
                save(run, progress, log)  # this step's checkpoint says that the evaluation is yet to come
        commit(run, progress, log)
        begun: BegunStep | None = None
        while progress.step < run.steps:
            with run.trace.step(progress.step + 1):
                begun, rate = _step(run, progress, prefetched, clock, log, begun)
                if _is_due(run, progress, run.config.log_every):
                    log_training(run, progress, clock, log, rate, first_step)
                with clock.aside():
                    _boundary(run, progress, log)
    finally:
        prefetched.close()
        run.trace.close()


def _step(
    run: Run,
    progress: Progress,
    steps: Prefetch[StepInput],
    clock: Clock,
    log: RunLog,
    last: BegunStep | None,
) -> tuple[BegunStep | None, float]:
    """Train one step, unless the ranks agree to stop before it or to change.

    last: a step that was begun and has not ended. Returns this one if it has not ended either, and its
    learning rate.
    """
    with clock.waiting():
        step_input, totals, agreed = next_input(run, steps)
    if last and (agreed.stop or agreed.hosts_changed):
        end_step(run, progress, last, log)
    if agreed.stop:
        stop_run(run, progress, log, agreed.stop)
    if agreed.hosts_changed:
        commit(run, progress, log)
        raise RanksChange(progress.step)
    rate = run.learning_rate(progress)
    begun = begin_step(run, progress, step_input, totals, rate)
    clock.count(totals.patients, totals.codes)
    if last:
        end_step(run, progress, last, log)
    if runs_ahead(run.backend) and not _has_boundary(run, progress):
        return begun, rate
    end_step(run, progress, begun, log)
    return None, rate


def _has_boundary(run: Run, progress: Progress) -> bool:
    """Whether something comes after the step for which its result must be known."""
    config = run.config
    every = config.log_every, config.eval_every, config.checkpoint_every
    return any(_is_due(run, progress, n) for n in every) or progress.step % config.commit_every == 0


def _boundary(run: Run, progress: Progress, log: RunLog) -> None:
    """Evaluate, save and commit what is due after a step."""
    if _is_due(run, progress, run.config.eval_every):
        with run.trace.span("evaluate"):
            evaluate(run, progress, log)
    saves = _is_due(run, progress, run.config.checkpoint_every)
    if saves:
        with run.trace.span("save checkpoint"):
            save(run, progress, log)
    if saves or progress.step % run.config.commit_every == 0:  # no commit is older than the newest checkpoint
        commit(run, progress, log)


def _is_due(run: Run, progress: Progress, every: int) -> bool:
    """What comes every so many steps comes after the last one, too."""
    return progress.step == run.steps or progress.step % every == 0
