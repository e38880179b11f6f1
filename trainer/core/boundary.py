"""What happens between steps: log, evaluate, save, commit, stop."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

from schemas.bert_names import WORD_EMBEDDINGS
from schemas.files import write_whole
from schemas.learned_codes import LEARNED_CODES_FILE
from schemas.manifest import join
from schemas.training_log import CHECKPOINT, EVAL, START, STOP, TRAIN
from trainer.core.clock import Clock
from trainer.core.evaluation import EvaluationStopped, validation_loss
from trainer.core.learned_codes import learned_codes
from trainer.core.metrics import IntervalMeans
from trainer.core.run import Progress, Run, state_of
from trainer.core.run_log import RunLog, evaluation_line, log_progress, progress_line
from trainer.core.stop import Stopped
from trainer.core.storage import retried
from trainer.core.together import on_every_rank
from trainer.core.writing import writing

LOG = logging.getLogger(__name__)


def log_start(run: Run, progress: Progress, log: RunLog) -> None:
    """Log what trains, from which step on."""
    values = {
        "backend": run.backend.name,
        "world_size": run.world.size,
        "batch_size": run.config.batch_size,
        "steps": run.steps,
        "num_patients": run.num_patients,
        "vocabulary_size": len(run.vocabulary),
    }
    log.write(START, progress.step, values)


def log_training(
    run: Run, progress: Progress, clock: Clock, log: RunLog, rate: float, first_step: int
) -> None:
    """Log means and speed since the last such line. rate: of the last step; first_step: of this process."""
    values = {
        "epoch": progress.position.epoch,
        "patients_seen": progress.patients_seen,
        "learning_rate": rate,
        **progress.interval.means(),
        **clock.lap(),
        "seconds": clock.seconds,
    }
    log.write(TRAIN, progress.step, values)
    seconds_left = clock.seconds / (progress.step - first_step) * (run.steps - progress.step)
    line = progress_line(progress.step, run.steps, values, seconds_left)
    log_progress(LOG, line, is_last=progress.step == run.steps)
    progress.interval = IntervalMeans()


def evaluate(run: Run, progress: Progress, log: RunLog) -> None:
    """Evaluate and log it. Raises Stopped when a rank is asked to stop meanwhile."""
    try:
        values = run.evaluator.evaluate()
    except EvaluationStopped as stopped:
        progress.evaluation_due = True
        stop_run(run, progress, log, stopped.ranks)
    progress.evaluation_due = False
    if values is not None:
        progress.validation_loss = validation_loss(values)
        log.write(EVAL, progress.step, values)
        LOG.info("%s", evaluation_line(progress.step, values))
        on_every_rank(run.backend, run.world, "codes", lambda: _write_learned_codes(run, progress))


def _write_learned_codes(run: Run, progress: Progress) -> None:
    if not run.world.is_first:
        return
    assert run.evaluator.confusions is not None
    found = learned_codes(
        progress.step,
        run.vocabulary.tokens,
        run.evaluator.patients_with_code,
        run.evaluator.confusions,
        run.backend.named_weights()[WORD_EMBEDDINGS],
    )
    uri = join(run.config.output, LEARNED_CODES_FILE)
    with writing(uri):
        retried(uri, lambda: write_whole(uri, found.to_json().encode()))


def save(run: Run, progress: Progress, log: RunLog) -> None:
    """Write a checkpoint, on the first rank; if it cannot, every rank fails."""

    def write() -> None:
        if not run.world.is_first:
            return
        log.sync()
        uri = run.checkpoints.save(
            run.backend,
            run.model,
            run.vocabulary,
            run.config.data.max_seq_length,
            state_of(run, progress),
        )
        folder = uri.removeprefix(run.config.output.rstrip("/") + "/")
        values = {"folder": folder, "validation_loss": progress.validation_loss}
        log.write(CHECKPOINT, progress.step, values)
        LOG.info("saved %s", uri)

    on_every_rank(run.backend, run.world, "save", write)
    progress.saved_step = progress.step


def commit(run: Run, progress: Progress, log: RunLog) -> None:
    """In an elastic run: keep a copy of the weights in memory, and have the log's files reach as far."""
    if run.commits is not None:
        log.sync()
        run.commits.keep(run.backend, state_of(run, progress), progress.saved_step)


def stop_run(run: Run, progress: Progress, log: RunLog, ranks: list[int]) -> NoReturn:
    """Save what the last checkpoint does not have, and leave. ranks: those that were asked to."""
    if progress.step > progress.saved_step:
        save(run, progress, log)
    log_stop(run, progress, log, {"reason": "SIGTERM", "ranks": ranks})
    raise Stopped(progress.step, ranks, run.config.output)


def log_stop(run: Run, progress: Progress, log: RunLog, values: dict[str, Any]) -> None:
    """Log why the run ends. No rank leaves before that: once one has, the launcher kills the others."""
    on_every_rank(run.backend, run.world, "stop", lambda: log.write(STOP, progress.step, values))
