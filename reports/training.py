"""The training section: which numbers of metrics.jsonl make which line of which chart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from reports.figures import Line, Mark, Picture, curves
from reports.numbers import count, number, percentage
from reports.training_log import Event, TrainingLog
from schemas.small_cells import in_words, publishable_share
from schemas.training_log import metric

MODEL, TRAIN, FREQUENT, PATIENT = "model", "train", "frequent", "patient"


@dataclass(frozen=True)
class Source:
    """What a line shows. label: in the legend; short: in captions; prefix: of its metrics in the log."""

    label: str
    short: str
    colour: str
    style: str
    prefix: str = ""


SOURCES = {
    MODEL: Source("the model on the valid split", "model", "accent", "solid"),
    TRAIN: Source("the model on training batches", "training batches", "muted", "faint"),
    FREQUENT: Source(
        "baseline: always the most frequent codes",
        "always the most frequent codes",
        "baseline-1",
        "dashed",
        "most_frequent_",
    ),
    PATIENT: Source(
        "baseline: the most frequent codes of the patient's other visits",
        "the patient's other visits",
        "baseline-2",
        "dotted",
        "other_visits_",
    ),
}


@dataclass(frozen=True)
class Chart:
    """One chart: one metric, from each of its sources (keys of SOURCES)."""

    metric: str
    title: str
    sources: tuple[str, ...]
    percent: bool = False
    at_least: tuple[float, float] | None = None
    """Values that the vertical axis reaches to at both ends, whatever was measured."""


AGAINST_BASELINES = (MODEL, FREQUENT, PATIENT)
QUALITY = (
    Chart("top_10", "Masked code among the 10 likeliest", AGAINST_BASELINES, percent=True, at_least=(0, 0.1)),
    Chart("top_5", "Masked code among the 5 likeliest", AGAINST_BASELINES, percent=True, at_least=(0, 0.1)),
    Chart("top_1", "Masked code is the likeliest", AGAINST_BASELINES, percent=True, at_least=(0, 0.1)),
    Chart("mlm_loss", "Masked-code loss, nats", (TRAIN, MODEL)),
    Chart("los_loss", "Prolonged-stay loss, nats", (TRAIN, MODEL)),
    Chart("los_auc", "Prolonged stay, area under ROC", (MODEL,), at_least=(0.5, 0.8)),
)
MACHINE = (
    Chart("patients_per_second", "Patients a second, all ranks", (TRAIN,), at_least=(0, 1)),
    Chart("slots_filled", "Slots that hold a code", (TRAIN,), percent=True, at_least=(0, 1)),
    Chart("input_wait", "Time spent waiting for input", (TRAIN,), percent=True, at_least=(0, 0.1)),
    Chart("gradient_norm", "Gradient norm before clipping", (TRAIN,), at_least=(0, 1)),
    Chart("learning_rate", "Learning rate", (TRAIN,), at_least=(0, 0)),
)
TABLE = {
    "step": ("step", count),
    "mlm_loss": ("masked-code loss", number),
    "top_1": ("top 1", percentage),
    "top_5": ("top 5", percentage),
    "top_10": ("top 10", percentage),
    "most_frequent_top_10": ("top 10, most frequent", percentage),
    "other_visits_top_10": ("top 10, other visits", percentage),
    "los_loss": ("stay loss", number),
    "los_auc": ("stay AUC", number),
}
_TABLE_ROWS = 25


@dataclass(frozen=True)
class TrainingSection:
    """What the page shows of a pretraining."""

    lead: str
    quality: list[Picture]
    machine: list[Picture]
    table_head: list[str]
    table_rows: list[list[str]]
    options: list[tuple[str, str]]


def training_section(log: TrainingLog) -> TrainingSection:
    shown = list(log.evaluations[:: -(-len(log.evaluations) // _TABLE_ROWS) or 1])
    if log.evaluations and shown[-1] is not log.evaluations[-1]:
        shown.append(log.evaluations[-1])
    return TrainingSection(
        lead=_lead(log),
        quality=draw(QUALITY, log),
        machine=draw(MACHINE, log),
        table_head=[head for head, _ in TABLE.values()],
        table_rows=[[show(metric(entry, name)) for name, (_, show) in TABLE.items()] for entry in shown],
        options=_flatten(log.config),
    )


def _lead(log: TrainingLog) -> str:
    marks = " Dotted lines across a chart: the run was stopped there, or went on." if log.events else ""
    if not log.evaluations:
        return "Not evaluated yet." + marks
    last = log.evaluations[-1]
    masked = metric(last, "masked_codes")
    return (
        "Evaluated on the same patients of the valid split and the same masks each time"
        f"{f' ({in_words(masked)} masked codes)' if masked else ''}. Both baselines guess without any model."
        + _base_rate(last)
        + marks
    )


def _base_rate(last: dict[str, Any]) -> str:
    """What share has a prolonged stay, unless it would single out a small group of patients."""
    rate, patients = metric(last, "los_base_rate"), metric(last, "patients")
    if rate is None or patients is None or publishable_share(rate, patients) is None:
        return ""
    return f" {percentage(rate)} of these patients have a prolonged stay."


def draw(charts: Sequence[Chart], log: TrainingLog) -> list[Picture]:
    """The charts that the log has numbers for."""
    marks = event_marks((event, event.step) for event in log.events)
    pictures = []
    for chart in charts:
        lines = _lines(chart, log)
        if lines:
            caption = _caption(chart, lines)
            name = chart.metric.replace("_", "-")
            alt = f"{chart.title}, by step. {caption}"
            pictures.append(
                Picture(
                    chart.title,
                    curves(name, lines, alt, marks, percent=chart.percent, at_least=chart.at_least),
                    caption,
                )
            )
    return pictures


def event_marks(events: Iterable[tuple[Event, float]]) -> list[Mark]:
    """Where each event is on a chart's axis."""
    return [Mark(place, "bad" if event.is_failure else "muted") for event, place in events]


def _lines(chart: Chart, log: TrainingLog) -> list[Line]:
    lines = []
    for name in chart.sources:
        source, entries = SOURCES[name], log.train if name == TRAIN else log.evaluations
        found = ((entry["step"], metric(entry, source.prefix + chart.metric)) for entry in entries)
        points = tuple((step, value) for step, value in found if value is not None)
        if points:
            alone = len(chart.sources) == 1
            colour, style = (
                ("accent", "plain" if name == TRAIN else source.style)
                if alone
                else (source.colour, source.style)
            )
            lines.append(Line(source.short, colour, style, points))
    return lines


def _caption(chart: Chart, lines: Sequence[Line]) -> str:
    show = percentage if chart.percent else number
    if len(lines) > 1:
        return "Last: " + ", ".join(f"{line.label} {show(line.last)}" for line in lines) + "."
    values = [value for _, value in lines[0].points]
    middle = sorted(values)[len(values) // 2]
    return f"First {show(values[0])}, last {show(values[-1])}, median {show(middle)}."


def _flatten(options: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested options as `model.hidden_size` → value; paths stay out, for they name a machine's folders."""
    flat: list[tuple[str, str]] = []
    for name, value in options.items():
        if isinstance(value, dict):
            flat += _flatten(value, f"{prefix}{name}.")
        elif not (isinstance(value, str) and "/" in value):
            flat.append((f"{prefix}{name}", "none" if value is None else str(value)))
    return flat
