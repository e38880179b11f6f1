"""What a run tells: a progress line, metrics.jsonl (schemas.training_log) and TensorBoard."""

from __future__ import annotations

import json
import logging
from typing import Any

import fsspec

from schemas.errors import ContractError
from schemas.files import write_whole
from schemas.manifest import join
from schemas.small_cells import in_words
from schemas.small_files import read_within
from schemas.training_log import EVAL, METRICS_FILE, MOST_LOG_BYTES, TENSORBOARD_FOLDER, TRAIN, parse_line
from trainer.core.event_file import EventFile
from trainer.core.growing_file import GrowingFile
from trainer.core.storage import retried
from trainer.core.writing import CannotWrite, writing

LOG = logging.getLogger(__name__)

_PROGRESS = "progress"


class RunLog:
    """The log of one run's folder; on ranks other than the first it does nothing.

    On a store that cannot add to a file, lines of training get there within half a minute, all others at
    once, and with them those before.
    """

    def __init__(self, run_uri: str, step: int, *, writes: bool, evaluation_due: bool = False) -> None:
        """step: where the run begins or goes on; lines of later steps, from a lost process, are removed.

        evaluation_due: that step's evaluation comes (again).
        """
        self._writes = writes
        if not writes:
            return
        self._run_uri = run_uri
        with writing(run_uri):
            content = retried(run_uri, lambda: _forget_after(run_uri, step, evaluation_due))
            self._lines = GrowingFile(join(run_uri, METRICS_FILE), content)
            folder = join(run_uri, TENSORBOARD_FOLDER)
            self._events = retried(folder, lambda: EventFile(folder, step + 1))

    def write(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """Add one line to metrics.jsonl, and its numbers to TensorBoard."""
        if not self._writes:
            return
        line = json.dumps({"kind": kind, "step": step, **values}) + "\n"
        with writing(join(self._run_uri, METRICS_FILE)):
            self._lines.write(line.encode())
            self._lines.flush()
        if kind in (TRAIN, EVAL):
            numbers = {
                f"{kind}/{name}": value for name, value in values.items() if isinstance(value, int | float)
            }
            with writing(join(self._run_uri, TENSORBOARD_FOLDER)):
                self._events.scalars(step, numbers)
        if kind != TRAIN:
            self.sync()

    def sync(self) -> None:
        """Have the files hold every line. Before a checkpoint: a run that goes on from it needs them."""
        if self._writes:
            with writing(self._run_uri):
                self._lines.sync()
                self._events.sync()

    def close(self) -> None:
        try:
            self.sync()
        except CannotWrite as error:
            LOG.error("the last lines of the log are lost: %s", error.found)


def _forget_after(run_uri: str, step: int, evaluation_due: bool) -> bytes:
    """Take the lines of later steps out of metrics.jsonl; its content then."""
    filesystem, root = fsspec.core.url_to_fs(run_uri)
    filesystem.makedirs(root, exist_ok=True)
    path = join(root, METRICS_FILE)
    try:
        lines = read_within(filesystem, path, MOST_LOG_BYTES, join(run_uri, METRICS_FILE)).split(b"\n")
    except FileNotFoundError:
        return b""
    kept = [line for line in lines if _step_of(line) <= step]
    if evaluation_due:
        kept = [line for line in kept if (parse_line(line, path)["kind"], _step_of(line)) != (EVAL, step)]
    content = b"".join(line + b"\n" for line in kept)
    write_whole(join(run_uri, METRICS_FILE), content)
    return content


def _step_of(line: bytes) -> float:
    """The step of a line; infinity for a line that the process did not live to finish."""
    try:
        return parse_line(line, METRICS_FILE)["step"]
    except ContractError:
        return float("inf")


def log_progress(logger: logging.Logger, line: str, *, is_last: bool) -> None:
    """Tell how it goes. The line may be rewritten by the next, or left out; the last one stays."""
    logger.info("%s", line, extra={_PROGRESS: not is_last})


def is_progress(record: logging.LogRecord) -> bool:
    """Whether a log record is a line of progress that need not stay."""
    return getattr(record, _PROGRESS, False)


def progress_line(step: int, steps: int, values: dict[str, Any], seconds_left: float) -> str:
    """One line for a person: where the run is, how it goes, how long it will take."""
    parts = (
        f"step {step:,}/{steps:,}",
        f"{_clock(seconds_left)} left",
        f"mlm loss {_number(values['mlm_loss'])}",
        f"los loss {_number(values['los_loss'])}",
        f"{values['patients_per_second']:,.0f} patients/s",
        f"{values['codes_per_second']:,.0f} codes/s",
        f"slots filled {_percent(values['slots_filled'])}",
        f"input wait {_percent(values['input_wait'])}",
    )
    return " · ".join(parts)


def evaluation_line(step: int, values: dict[str, Any]) -> str:
    """One line for a person: the model against the baselines."""
    parts = (
        f"evaluation at step {step:,} on {in_words(values['patients'])} patients",
        f"mlm loss {_number(values['mlm_loss'])}",
        f"top-10 {_percent(values['top_10'])} against {_percent(values['most_frequent_top_10'])} (most "
        f"frequent codes) and {_percent(values['other_visits_top_10'])} (other visits)",
        f"prolonged stay AUC {_number(values['los_auc'])}",
    )
    return " · ".join(parts)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
