"""Patients out of a sequences or a shards folder, on flat buffers: no loop over patients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from schemas import sequences, shards
from schemas.errors import ContractError
from schemas.latest_codes import latest_codes
from schemas.manifest import Manifest, ManifestFile, read_manifest
from schemas.parquet import open_listed_parquet

ROWS_A_CHUNK = 20_000
PATIENT_ID = "patient_id"


@dataclass(frozen=True)
class Patients:
    """P patients. token_ids, visit_numbers: (codes,), patient i's from offsets[i] to offsets[i + 1].

    patient_ids: (P,) text, None from shards.
    """

    token_ids: np.ndarray
    visit_numbers: np.ndarray
    offsets: np.ndarray
    patient_ids: list[str] | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def latest(self, max_codes: int) -> Patients:
        """The latest `max_codes` codes of each patient, as training reads them: see schemas.latest_codes."""
        latest = latest_codes(self.visit_numbers, self.offsets, max_codes)
        return Patients(self.token_ids[latest.kept], latest.visit_numbers, latest.offsets, self.patient_ids)


def patients_of(batch: Any) -> Patients:
    """The patients of an Arrow record batch of sequences or shards; with ids where it has that column."""
    tokens, visits = batch[shards.TOKEN_IDS], batch[shards.VISIT_NUMBERS]
    return Patients(
        token_ids=tokens.flatten().to_numpy(),
        visit_numbers=visits.flatten().to_numpy(),
        offsets=np.concatenate([[0], np.cumsum(tokens.value_lengths().to_numpy())]),
        patient_ids=batch[PATIENT_ID].to_pylist() if PATIENT_ID in batch.schema.names else None,
    )


@dataclass(frozen=True)
class PatientFile:
    """One file of the folder `uri`. split: None of shards."""

    uri: str
    file: ManifestFile
    split: str | None

    def read(self, rows: int = ROWS_A_CHUNK) -> Iterator[Patients]:
        """Its patients in order, so many at a time. Raises ContractError for a file that was damaged."""
        columns = [shards.TOKEN_IDS, shards.VISIT_NUMBERS]
        if self.split is not None:
            columns.append(PATIENT_ID)
        with open_listed_parquet(self.uri, self.file) as parquet:
            for batch in parquet.iter_batches(rows, columns=columns):
                yield patients_of(batch)

    def read_ids(self) -> Iterator[Any]:
        """The patients' ids alone, as Arrow text arrays. Of a sequences' file. Raises ContractError."""
        with open_listed_parquet(self.uri, self.file) as parquet:
            for batch in parquet.iter_batches(columns=[PATIENT_ID]):
                yield batch[PATIENT_ID]


def open_patients(uri: str, splits: tuple[str, ...] = sequences.SPLITS) -> tuple[Manifest, list[PatientFile]]:
    """The folder's manifest, and its Parquet files in order; of sequences, those of `splits`.

    Raises ContractError for a folder that is neither kind.
    """
    try:
        manifest = read_manifest(uri, sequences.KIND)
    except ContractError as not_sequences:
        try:
            manifest = read_manifest(uri, shards.KIND)
        except ContractError:
            raise not_sequences from None
    listed = [file for file in manifest.files if file.path.endswith(f".{shards.PARQUET}")]
    if not listed:
        raise ContractError(
            f"{uri} has no Parquet files",
            "patients are read from sequences, or from one split's shards in Parquet",
            "give runs/…/sequences or runs/…/shards/test",
        )
    in_order = sorted(listed, key=lambda file: file.path)
    found = [PatientFile(uri, file, _split_of(file.path)) for file in in_order]
    return manifest, [file for file in found if file.split is None or file.split in splits]


def _split_of(path: str) -> str | None:
    """`train` of `split=train/part-00000.parquet`; None of a shard."""
    folder, _, _ = path.rpartition("/")
    return folder.removeprefix(f"{sequences.SPLIT}=") if folder else None
