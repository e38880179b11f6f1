"""The reconciliation: every stage's in = out + set aside, and what one stage gave out the next took in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from reports.collect import Run
from reports.patients import code_occurrences, splits
from schemas import claims, diagnoses, sequences, vocabulary
from schemas.manifest import Manifest

CLAIMS = "claims"
DIAGNOSES = "diagnoses"
CODES = "codes"
PATIENTS = "patients"

MEANINGS = diagnoses.REASONS | {
    "too_few_patients": "fewer patients of the training split have the code than min_patients",
    "too_few_codes": "the patient has fewer codes than min_codes",
}


@dataclass(frozen=True)
class Balance:
    """One stage's count of one thing (unit). set_aside: reason → number; empty when it sets nothing aside."""

    stage: str
    unit: str
    taken_in: int
    given_out: int
    set_aside: Mapping[str, int] = field(default_factory=dict)

    @property
    def total_set_aside(self) -> int:
        return sum(self.set_aside.values())

    @property
    def difference(self) -> int:
        """What is missing (positive) or too many (negative)."""
        return self.taken_in - self.given_out - self.total_set_aside

    @property
    def ok(self) -> bool:
        return self.difference == 0

    def numbers(self) -> list[int]:
        return [self.taken_in, self.given_out, *self.set_aside.values(), abs(self.difference)]

    def reasons(self) -> list[SetAside]:
        """What was set aside, the commonest reason first."""
        found = sorted(self.set_aside.items(), key=lambda item: (-item[1], item[0]))
        return [
            SetAside(self, reason, MEANINGS.get(reason, ""), number) for reason, number in found if number
        ]


@dataclass(frozen=True)
class SetAside:
    """One reason of one balance."""

    flow: Balance
    reason: str
    meaning: str
    number: int


@dataclass(frozen=True)
class Handover:
    """Two numbers that must be one: what a stage gave out, and what the next says it took in."""

    text: str
    unit: str
    left: int
    right: int

    @property
    def ok(self) -> bool:
        return self.left == self.right


@dataclass(frozen=True)
class Volumes:
    """How much data the run is about; None where a stage has not counted it."""

    patients: int | None = None
    visits: int | None = None
    codes: int | None = None
    vocabulary: int | None = None
    min_patients: int | None = None


def balances(run: Run) -> list[Balance]:
    """A balance for every stage that took something in and counted it. `given_out` is what its files hold."""
    return [*_ingest(run), *_vocabulary(run), *_sequences(run)]


def _ingest(run: Run) -> Iterator[Balance]:
    manifest = run.manifest(diagnoses.KIND)
    if manifest and "rows_in" in manifest.counts:
        counts = manifest.counts
        yield Balance("Ingest", DIAGNOSES, counts["rows_in"], manifest.num_rows, counts.get("rejected", {}))


def _vocabulary(run: Run) -> Iterator[Balance]:
    manifest = run.manifest(vocabulary.KIND)
    if manifest is None or "codes_dropped" not in manifest.counts:
        return  # an imported vocabulary: nothing was counted
    counts = manifest.counts
    dropped, rows_dropped = counts["codes_dropped"], counts["rows_of_codes_dropped"]
    yield Balance(
        "Vocabulary, training split",
        DIAGNOSES,
        counts["rows_of_training_split"],
        code_occurrences(run),
        {"too_few_patients": rows_dropped},
    )
    yield Balance(
        "Vocabulary, training split",
        CODES,
        counts["codes"] + dropped,
        _num_tokens(manifest) - _num_special(manifest),
        {"too_few_patients": dropped},
    )


def _sequences(run: Run) -> Iterator[Balance]:
    manifest = run.manifest(sequences.KIND)
    if manifest and "patients_in" in manifest.counts:
        counts = manifest.counts
        aside = {"too_few_codes": counts["patients_with_too_few_codes"]}
        yield Balance("Sequences", PATIENTS, counts["patients_in"], manifest.num_rows, aside)


def handovers(run: Run) -> list[Handover]:
    """The numbers of neighbouring stages that can be compared."""
    checks = [
        (
            "claims written, and read by ingest",
            CLAIMS,
            _claims_written(run),
            _count(run, diagnoses.KIND, "claims_in"),
        ),
        (
            "diagnoses set aside by ingest, and in diagnoses_rejected/",
            DIAGNOSES,
            _count(run, diagnoses.KIND, "rows_rejected"),
            _num_rows(run, diagnoses.REJECTED_KIND),
        ),
        (
            "diagnoses given out by ingest, and read for the vocabulary",
            DIAGNOSES,
            _num_rows(run, diagnoses.KIND),
            _count(run, vocabulary.KIND, "rows_in"),
        ),
        (
            "diagnoses given out by ingest, and read for the sequences",
            DIAGNOSES,
            _num_rows(run, diagnoses.KIND),
            _count(run, sequences.KIND, "rows_in"),
        ),
        (
            "patients in sequences/, and in shards/",
            PATIENTS,
            _num_rows(run, sequences.KIND),
            _in_shards(run, "patients"),
        ),
        (
            "codes in sequences/, and in shards/",
            CODES,
            _count(run, sequences.KIND, "codes"),
            _in_shards(run, "codes"),
        ),
        (
            "patients in shards/train, and read by the trainer",
            PATIENTS,
            _in_shards(run, "patients", "train"),
            _trained(run),
        ),
    ]
    return [
        Handover(text, unit, left, right)
        for text, unit, left, right in checks
        if left is not None and right is not None
    ]


def volumes(run: Run) -> Volumes:
    """The numbers at the top of the page."""
    codebook = run.manifest(vocabulary.KIND)
    return Volumes(
        patients=_num_rows(run, sequences.KIND),
        visits=_count(run, sequences.KIND, "visits"),
        codes=_count(run, sequences.KIND, "codes"),
        vocabulary=_num_tokens(codebook) if codebook else None,
        min_patients=codebook.details.get("min_patients") if codebook else None,
    )


def unknown_share(run: Run) -> float | None:
    """The share of diagnoses whose code is not in the vocabulary; None when it was not counted."""
    rows, unknown = (_count(run, sequences.KIND, name) for name in ("rows_in", "rows_of_unknown_codes"))
    return unknown / rows if rows and unknown is not None else None


def _count(run: Run, path: str, name: str) -> int | None:
    manifest = run.manifest(path)
    return manifest.counts.get(name) if manifest else None


def _num_rows(run: Run, path: str) -> int | None:
    manifest = run.manifest(path)
    return manifest.num_rows if manifest else None


def _num_tokens(manifest: Manifest) -> int:
    return sum(file.rows for file in manifest.files if file.path == vocabulary.VOCAB_FILE)


def _num_special(manifest: Manifest) -> int:
    return len(vocabulary.special_tokens_of(dict(manifest.details), vocabulary.KIND).ids)


def _claims_written(run: Run) -> int | None:
    manifest = run.manifest(claims.KIND)
    if manifest is None:
        return None
    return sum(file.rows for file in manifest.files if file.path.startswith(f"{claims.CLAIMS_FOLDER}/"))


def _in_shards(run: Run, what: str, only: str | None = None) -> int | None:
    found = [split for split in splits(run) if only in (None, split.name)]
    return sum(getattr(split, what) for split in found) if found else None


def _trained(run: Run) -> int | None:
    starts = run.training.starts if run.training else ()
    return starts[-1]["num_patients"] if starts else None
