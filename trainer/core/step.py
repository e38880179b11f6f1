"""What happens at a step: the ranks agree, train, and count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypeGuard

import numpy as np

from trainer.core.backend import AheadBackend, Backend, StepResult, StepTotals
from trainer.core.boundary import log_stop
from trainer.core.input.order import Position
from trainer.core.input.prefetch import Prefetch
from trainer.core.input.slots import PackedBatch
from trainer.core.input.training_input import StepInput
from trainer.core.run import Progress, Run
from trainer.core.run_log import RunLog
from trainer.core.together import OtherRankFailed, failure_flags


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

    @property
    def divisors(self) -> StepTotals:
        """Of the step's losses."""
        return StepTotals(self.masked_codes, self.patients)


@dataclass(frozen=True)
class Agreed:
    """What every rank knows before each step."""

    stop: list[int]
    """Ranks that are asked to stop."""
    hosts_changed: bool


def next_input(run: Run, steps: Prefetch[StepInput]) -> tuple[StepInput, RankTotals, Agreed]:
    """This rank's input of the next step, all ranks' totals, and what else they must agree on.

    One sum tells every rank the same, so all stop before the same step. If one cannot read, all fail.
    """
    error: Exception | None = None
    step_input = None
    local = RankTotals()
    try:
        with run.trace.span("wait for input"):
            step_input = next(steps)
        local = RankTotals.of(step_input)
    except Exception as caught:  # raised again below, once all ranks know
        error = caught
    numbers = [getattr(local, field.name) for field in fields(RankTotals)]
    hosts_changed = run.commits is not None and run.commits.hosts_changed
    flags = [failure_flags(run.world, flag) for flag in (error is not None, run.stop.asked, hosts_changed)]
    values = np.concatenate([np.asarray(numbers, np.int64), *flags])
    with run.trace.span("agree with the other ranks"):
        summed = run.backend.all_reduce("step_totals", values)
    if error is not None:
        raise error
    failed, asked, changed = (np.flatnonzero(part).tolist() for part in np.split(summed[len(numbers) :], 3))
    if failed:
        raise OtherRankFailed(failed)
    assert step_input is not None
    return step_input, RankTotals(*summed[: len(numbers)].tolist()), Agreed(asked, bool(changed))


@dataclass(frozen=True)
class BegunStep:
    """A step that is handed to the backend and counted; its result may still be on its way."""

    step: int
    before: Position
    """Where the run stood."""
    packed: PackedBatch
    totals: RankTotals
    result: Callable[[], StepResult]


def begin_step(
    run: Run, progress: Progress, step_input: StepInput, totals: RankTotals, rate: float
) -> BegunStep:
    """The next step."""
    step, packed, backend = progress.step + 1, step_input.packed, run.backend
    with run.trace.span("train step"):
        if runs_ahead(backend):
            result = backend.begin_step(packed, totals.divisors, rate, step)
        else:
            found = backend.train_step(packed, totals.divisors, rate, step)
            result = lambda: found  # noqa: E731
    begun = BegunStep(step, progress.position, packed, totals, result)
    progress.step = step
    progress.validation_loss = None
    progress.evaluation_due = False
    progress.position = step_input.position
    progress.patients_seen += totals.patients
    progress.patients_cut += totals.patients_cut
    return begun


def runs_ahead(backend: Backend) -> TypeGuard[AheadBackend]:
    """Whether a step may be begun before the last one's result is known."""
    return isinstance(backend, AheadBackend) and backend.runs_ahead


def end_step(run: Run, progress: Progress, begun: BegunStep, log: RunLog) -> None:
    """Wait for the result and count it. Raises NotFinite, on every rank, the run standing before the step."""
    with run.trace.span("wait for the step's result"):
        result = begun.result()
    if not result.applied:
        progress.step, progress.position = begun.step - 1, begun.before
        error = run.diagnosis.explain(begun.step, begun.before, begun.packed, begun.totals.divisors)
        log_stop(run, progress, log, {"reason": "not finite", "found": error.to_json()})
        raise error
    progress.interval.add(
        patients=begun.totals.patients,
        codes=begun.totals.codes,
        masked_codes=begun.totals.masked_codes,
        slots=begun.totals.slots,
        mlm_loss=result.mlm_loss,
        los_loss=result.los_loss,
        gradient_norm=result.gradient_norm,
    )
