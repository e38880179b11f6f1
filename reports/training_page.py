"""A pretraining folder as a page of its own: `python -m reports training`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean, median

from reports.environment import environment
from reports.figures import Line, Picture, curves
from reports.headlines import Tile, accuracy, last_evaluation, sentence, stay_tile, training_parts
from reports.numbers import NONE, number, percentage
from reports.training import AGAINST_BASELINES, SOURCES, event_marks, training_section
from reports.training_log import TrainingLog, read_training_log
from schemas.errors import ContractError
from schemas.learned_codes import read_learned_codes
from schemas.small_cells import publishable, published_in_words
from schemas.training_log import METRICS_FILE, metric

TEMPLATE = "training.html.j2"
_TOP = (1, 5, 10)


@dataclass(frozen=True)
class Guesser:
    """The model, or a baseline, at the last evaluation. shares: of masked codes in its first guesses."""

    label: str
    shares: tuple[float | None, ...]


def render_training(run_uri: str) -> str:
    """The page of a pretraining folder, as HTML. Raises ContractError when the folder has no log."""
    log = read_training_log(run_uri)
    if log is None or not log.starts:
        raise ContractError(
            f"{run_uri} holds no {METRICS_FILE} of a run that has started",
            "a pretraining folder has one line of it for each start",
            "check the path (a run's folder pretrain/), or run make pretrain first",
        )
    section = training_section(log)
    return (
        environment()
        .get_template(TEMPLATE)
        .render(
            name=_name(run_uri),
            log=log,
            subtitle=sentence(training_parts(log)),
            tiles=_tiles(log),
            accuracy=accuracy(log),
            guessers=_guessers(log),
            top=_TOP,
            sources=SOURCES,
            training=replace(section, machine=[*_over_time(log), *section.machine]),
            learned=read_learned_codes(run_uri),
        )
    )


def _name(run_uri: str) -> str:
    """The last two folders of the path: a run's name, and that it is its pretraining."""
    return "/".join(run_uri.rstrip("/").rsplit("/", 2)[-2:])


def _tiles(log: TrainingLog) -> list[Tile]:
    last = last_evaluation(log)
    patients = metric(log.train[-1], "patients_seen") if log.train else None
    epoch = metric(log.train[-1], "epoch") if log.train else None
    return [
        Tile(
            "Patients seen",
            NONE if patients is None else published_in_words(publishable(patients, patients)),
            "" if epoch is None else f"{_nth(epoch + 1)} time through the data",
        ),
        Tile("Masked-code loss, nats", number(metric(last, "mlm_loss")), "on the valid split"),
        stay_tile(log),
        Tile("Time in training", _duration(_seconds(log)), _processes(log)),
        Tile("Patients a second", _of_lines(log, "patients_per_second", median, number), "median, all ranks"),
        Tile(
            "Slots that hold a code",
            _of_lines(log, "slots_filled", fmean, percentage),
            f"{_of_lines(log, 'input_wait', fmean, percentage)} of the time spent waiting for input",
        ),
    ]


def _of_lines(
    log: TrainingLog,
    name: str,
    of: Callable[[list[float]], float],
    show: Callable[[float | None], str],
) -> str:
    """One number for a metric of all lines of training."""
    values = [value for entry in log.train if (value := metric(entry, name)) is not None]
    return show(of(values)) if values else NONE


def _processes(log: TrainingLog) -> str:
    starts = len(log.starts)
    return "in one go" if starts == 1 else f"in {starts} goes"


def _seconds(log: TrainingLog) -> float:
    return max((seconds for _, seconds in log.timed()), default=0.0)


def _duration(seconds: float) -> str:
    """5 min, 3.2 h; whole seconds below a minute."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _nth(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"


def _guessers(log: TrainingLog) -> list[Guesser]:
    last = last_evaluation(log)
    found = [SOURCES[name] for name in AGAINST_BASELINES]
    rows = [
        Guesser(source.short, tuple(metric(last, f"{source.prefix}top_{k}") for k in _TOP))
        for source in found
    ]
    return [row for row in rows if any(share is not None for share in row.shares)]


def _over_time(log: TrainingLog) -> list[Picture]:
    """Patients a second over time; nothing where none was measured."""
    unit, divisor = _time_unit(_seconds(log))
    timed = ((seconds / divisor, metric(entry, "patients_per_second")) for entry, seconds in log.timed())
    points = tuple((time, speed) for time, speed in timed if speed is not None)
    if not points:
        return []
    marks = event_marks((event, event.seconds / divisor) for event in log.events)
    line = Line("training", "accent", "plain", points)
    title = "Patients a second, all ranks, over time"
    caption = "Evaluations and checkpoints not counted; time goes on where a run was resumed."
    drawn = curves(
        "speed-over-time",
        [line],
        f"{title}. First {number(points[0][1])}, last {number(points[-1][1])}.",
        marks,
        axis=f"{unit} of training",
        at_least=(0, 1),
    )
    return [Picture(title, drawn, caption)]


def _time_unit(seconds: float) -> tuple[str, float]:
    """The unit that a time axis of so many seconds is read in, and its seconds."""
    if seconds < 180:
        return "seconds", 1.0
    return ("minutes", 60.0) if seconds < 3 * 3600 else ("hours", 3600.0)
