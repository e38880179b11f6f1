"""The reconciliation within stages: what a stage took in = what it gave out + what it set aside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from reports.collect import Run
from reports.patients import code_occurrences
from schemas import diagnoses, sequences, vocabulary
from schemas.code_maps import MAPPED_FOLDER
from schemas.manifest import Manifest

CLAIMS = "claims"
DIAGNOSES = "diagnoses"
CODES = "codes"
DISTINCT_CODES = "distinct codes"
"""Of codes, not of patients: the small-cell rule is not about their number."""
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
    """One reason, or rule, of one balance."""

    flow: Balance
    reason: str
    meaning: str
    number: int


def noted(run: Run) -> list[SetAside]:
    """Rows that ingest used by a named rule, e.g. with the date of another column: none of them is lost."""
    counts = {name: run.count(diagnoses.KIND, name) or 0 for name in diagnoses.NOTED}
    return [
        SetAside(flow, name, diagnoses.NOTED[name], number)
        for flow in _ingest(run)
        for name, number in counts.items()
        if number
    ]


def balances(run: Run) -> list[Balance]:
    """A balance for every stage that took something in and counted it. `given_out` is what its files hold."""
    return [*_ingest(run), *_map(run), *_vocabulary(run), *_sequences(run)]


def _ingest(run: Run) -> Iterator[Balance]:
    manifest = run.manifest(diagnoses.KIND)
    if manifest and "rows_in" in manifest.counts:
        counts = manifest.counts
        yield Balance("Ingest", DIAGNOSES, counts["rows_in"], manifest.num_rows, counts.get("rejected", {}))


def _map(run: Run) -> Iterator[Balance]:
    manifest = run.manifest(MAPPED_FOLDER)
    if manifest:
        rows_in = manifest.counts["rows_in"] + manifest.counts["rows_added"]
        yield Balance("Code mapping, with the rows that clusters add", DIAGNOSES, rows_in, manifest.num_rows)


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
        DISTINCT_CODES,
        counts["codes"] + dropped,
        num_tokens(manifest) - _num_special(manifest),
        {"too_few_patients": dropped},
    )


def _sequences(run: Run) -> Iterator[Balance]:
    manifest = run.manifest(sequences.KIND)
    if manifest and "patients_in" in manifest.counts:
        counts = manifest.counts
        aside = {"too_few_codes": counts["patients_with_too_few_codes"]}
        yield Balance("Sequences", PATIENTS, counts["patients_in"], manifest.num_rows, aside)


def num_tokens(manifest: Manifest) -> int:
    """Tokens of a vocabulary, special ones among them."""
    return sum(file.rows for file in manifest.files if file.path == vocabulary.VOCAB_FILE)


def _num_special(manifest: Manifest) -> int:
    return len(vocabulary.special_tokens_of(dict(manifest.details), vocabulary.KIND).ids)
