"""The figures at the top of the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any

from reports.collect import Run
from reports.flow import DISTINCT_CODES, balances, noted, num_tokens
from reports.handovers import handovers
from reports.lengths import max_seq_length
from reports.numbers import NONE, count, number, scientific
from reports.parity import Parity, readable
from reports.patients import Split, all_lengths, splits, top_codes
from reports.privacy import ShownCounts
from reports.training import AGAINST_BASELINES, MODEL, SOURCES
from reports.training_log import TrainingLog
from schemas import sequences, vocabulary
from schemas.small_cells import is_small, merge_small_bins
from schemas.training_log import metric


@dataclass(frozen=True)
class Tile:
    """One headline figure. ok: a check's outcome, None where nothing is checked."""

    label: str
    value: str
    note: str
    ok: bool | None = None


def shown_counts(run: Run) -> ShownCounts:
    """How the run's numbers may be shown: by every one that its page could show, of any unit."""
    found = splits(run)
    cells = [
        *chain.from_iterable(flow.numbers() for flow in balances(run) if flow.unit != DISTINCT_CODES),
        *(item.number for item in noted(run)),
        *chain.from_iterable((check.left, check.right) for check in handovers(run)),
        *(number or 0 for number in (run.count(sequences.KIND, name) for name in ("visits", "codes"))),
        *chain.from_iterable((split.patients, split.codes) for split in found),
        *_of_lengths(run, found),
    ]
    # Of a code, those who do not have it are a group, too; two codes' numbers have no difference to tell of.
    trained = next((split.patients for split in found if split.name == "train"), 0)
    groups = [trained - code.patients for code in top_codes(run)] if trained else []
    return ShownCounts(ShownCounts.for_cells(cells).rounded or any(map(is_small, groups)))


def _of_lengths(run: Run, found: list[Split]) -> Iterator[int]:
    """Patients beyond each bar of the histogram, and beyond the trainer's limit."""
    lengths = all_lengths(found)
    if lengths:
        yield from accumulate(reversed(merge_small_bins(*lengths.bins())[1]))
        if (cut := max_seq_length(run)) is not None:
            yield lengths.longer_than(cut)


def headlines(run: Run, counts: ShownCounts, parity: Parity | None) -> list[Tile]:
    """Volumes, then what the model reached, then how exact its conversion is."""
    patients = run.num_rows(sequences.KIND)
    visits, codes = (run.count(sequences.KIND, name) for name in ("visits", "codes"))
    return [
        Tile(
            "Patients", NONE if patients is None else counts.show(patients), "with enough codes to train on"
        ),
        *(
            Tile(
                label,
                NONE if amount is None else counts.show(amount),
                f"{counts.mean(amount, patients)} a patient" if amount and patients else "",
            )
            for label, amount in (("Visits", visits), ("Codes", codes))
        ),
        _vocabulary_tile(run),
        stay_tile(run.training),
        _conversion_tile(parity),
    ]


def _vocabulary_tile(run: Run) -> Tile:
    manifest = run.manifest(vocabulary.KIND)
    if manifest is None:
        return Tile("Vocabulary", NONE, "not built yet")
    minimum = manifest.details.get("min_patients")
    note = "tokens" if minimum is None else f"tokens; a code has at least {minimum} patients"
    return Tile("Vocabulary", count(num_tokens(manifest)), note)


@dataclass(frozen=True)
class AccuracyRow:
    """One guesser of masked codes. share: of masked codes that are among its first 10 guesses."""

    label: str
    share: float


@dataclass(frozen=True)
class Accuracy:
    """The model beside the baselines, at the last evaluation; the model first."""

    rows: tuple[AccuracyRow, ...]

    @property
    def beats_baselines(self) -> bool:
        return all(self.rows[0].share > row.share for row in self.rows[1:])


def accuracy(log: TrainingLog | None) -> Accuracy | None:
    """None when nothing was evaluated."""
    last = last_evaluation(log)
    shares = {name: metric(last, f"{SOURCES[name].prefix}top_10") for name in AGAINST_BASELINES}
    rows = [AccuracyRow(SOURCES[name].short, share) for name, share in shares.items() if share is not None]
    return Accuracy(tuple(rows)) if shares[MODEL] is not None else None


def last_evaluation(log: TrainingLog | None) -> dict[str, Any]:
    """Empty when nothing was evaluated."""
    return log.evaluations[-1] if log and log.evaluations else {}


def stay_tile(log: TrainingLog | None) -> Tile:
    last = last_evaluation(log)
    where = f"valid split, step {last['step']:,}" if last else "not evaluated yet"
    return Tile("Prolonged stay, AUC", number(metric(last, "los_auc")), where)


def _conversion_tile(parity: Parity | None) -> Tile:
    label = "Conversion, worst error"
    if parity is None:
        return Tile(label, NONE, "not converted yet")
    if parity.worst is None:
        return Tile(label, "not a number", "", ok=parity.ok)
    output, difference = parity.worst
    note = f"{readable(output)}, at most {scientific(parity.limits[output])}"
    return Tile(label, scientific(difference), note, ok=parity.ok)


def subtitle(run: Run) -> str:
    """One line on what this run is."""
    parts = []
    ingest = run.manifest("diagnoses")
    if ingest and "source" in ingest.parameters:
        parts.append(f"source {ingest.parameters['source']}")
    return sentence([*parts, *(training_parts(run.training) if run.training else ())])


def training_parts(log: TrainingLog) -> list[str]:
    """What trained, and how far."""
    if not log.starts:
        return []
    start, done = log.starts[-1], log.train[-1]["step"] if log.train else 0
    parts = [f"{done:,} of {start['steps']:,} steps with {start['backend']}"]
    parts.append(f"{start['world_size']} × {start['batch_size']} patients a step")
    return parts + ([f"seed {log.config['seed']}"] if "seed" in log.config else [])


def sentence(parts: Sequence[str]) -> str:
    text = " · ".join(parts)
    return text[:1].upper() + text[1:]
