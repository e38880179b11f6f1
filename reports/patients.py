"""Splits, lengths and commonest codes, as the shards and the vocabulary state them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow

from reports.collect import Run
from schemas import vocabulary
from schemas.histogram import power_of_two_bins, quantile
from schemas.manifest import Manifest, join
from schemas.parquet import open_named_parquet
from schemas.sequences import SPLITS

TOP_CODES = 20


@dataclass(frozen=True)
class Split:
    """One split's shards."""

    name: str
    patients: int
    codes: int
    files: int
    lengths: Mapping[int, int]
    """codes a patient → patients"""
    patients_in_files: Mapping[str, int]
    """file format → patients"""


@dataclass(frozen=True)
class CodeCount:
    """A code of the vocabulary. patients: of the training split."""

    token: str
    patients: int


@dataclass(frozen=True)
class Lengths:
    """Codes a patient over all splits."""

    counts: Mapping[int, int]

    @property
    def patients(self) -> int:
        return sum(self.counts.values())

    @property
    def codes(self) -> int:
        return sum(length * patients for length, patients in self.counts.items())

    def quantile(self, share: float) -> int:
        """The smallest length that at least this share of the patients does not exceed."""
        return quantile(self.counts, share)

    def longer_than(self, length: int) -> int:
        return sum(patients for found, patients in self.counts.items() if found > length)

    def bins(self) -> tuple[list[int], list[int]]:
        """Patients between powers of two: (N + 1,) edges and (N,) patients."""
        return power_of_two_bins(self.counts)


def splits(run: Run) -> list[Split]:
    """The splits whose shards are there."""
    found = ((name, run.manifest(f"shards/{name}")) for name in SPLITS)
    return [_split(name, manifest) for name, manifest in found if manifest is not None]


def _split(name: str, manifest: Manifest) -> Split:
    lengths = {int(length): patients for length, patients in manifest.details["length_histogram"].items()}
    in_files: Counter[str] = Counter()
    for file in manifest.files:
        in_files[file.path.rpartition(".")[2]] += file.rows
    return Split(
        name,
        sum(lengths.values()),
        manifest.details["num_codes"],
        len(manifest.files),
        lengths,
        dict(in_files),
    )


def all_lengths(found: list[Split]) -> Lengths | None:
    """The lengths of every split together; None when there is no patient."""
    total: Counter[int] = Counter()
    for split in found:
        total.update(split.lengths)
    return Lengths(dict(total)) if total else None


def top_codes(run: Run) -> list[CodeCount]:
    """The vocabulary's commonest codes that the small-cell rule lets us name."""
    table = _vocabulary_table(run)
    codes = map(CodeCount, table["token"].to_pylist(), table["num_patients"].to_pylist())
    allowed = (code for code in codes if code.patients >= vocabulary.SMALL_CELL_MIN_PATIENTS)
    return sorted(allowed, key=lambda code: (-code.patients, code.token))[:TOP_CODES]


def code_occurrences(run: Run) -> int:
    """Diagnoses of the training split whose codes are in the vocabulary."""
    return sum(_vocabulary_table(run)["num_occurrences"].to_pylist())


def _vocabulary_table(run: Run) -> pyarrow.Table:
    """vocabulary.parquet; empty when there is none."""
    manifest = run.manifest(vocabulary.KIND)
    if manifest is None:
        return vocabulary.VOCABULARY.arrow.empty_table()
    table = open_named_parquet(join(run.uri, vocabulary.KIND), manifest, vocabulary.TABLE_FILE)
    # Without threads: one that Arrow has only just started may abort a process that ends at once.
    return table.read(use_threads=False)


def example_codes(run: Run) -> list[str]:
    """Codes to show in an example: the commonest of the run, or codes that any vocabulary may have."""
    return [code.token for code in top_codes(run)[:2]] or ["ICD10CM//E11.9", "ICD10CM//I10"]
