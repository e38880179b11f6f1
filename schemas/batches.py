"""Diagnoses that grow: what the manifest of a folder says that ingest adds new claims to, batch by batch.

`batches [{input_files, num_partitions}]`: the raw files of each batch, relative to the input, sorted, and
into how many parts its patients are divided. The rows of the k-th batch, from 0, are those of the files in
`batch=00000k/`, whose part numbers are those of the parts; a patient may have rows in several batches.
`earlier [fingerprint]`: the k-th is that of the folder when it had k + 1 batches. So whoever has read the
folder before can tell which rows came since.

A batch that was read again is part of a later one, and has no input_files and no rows of its own any more;
the fingerprints of the states that had its rows are null, as what was made of them cannot go on from there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from schemas.errors import ContractError
from schemas.manifest import Manifest, ManifestFile

BATCH_PREFIX = "batch="
BATCHES = "batches"
INPUT_FILES, NUM_PARTITIONS = "input_files", "num_partitions"
EARLIER = "earlier"


def batch_folder(number: int) -> str:
    return f"{BATCH_PREFIX}{number:06d}"


def num_batches(manifest: Manifest) -> int:
    """0 where the folder was written in one go."""
    return len(manifest.details.get(BATCHES, []))


def num_partitions_of(manifest: Manifest, file: ManifestFile) -> int:
    """Into how many parts the patients of the file's batch are divided."""
    batch = int(file.path.partition("/")[0].removeprefix(BATCH_PREFIX))
    return _num_partitions(manifest, batch)


def first_num_partitions(manifest: Manifest) -> int:
    """Those of the first batch, which has all that there was: later stages divide patients alike."""
    return _num_partitions(manifest, 0)


def _num_partitions(manifest: Manifest, batch: int) -> int:
    found = manifest.details[BATCHES][batch]
    if NUM_PARTITIONS not in found:
        raise ContractError(
            f"the manifest of the diagnoses says nothing of {NUM_PARTITIONS} in batch {batch}",
            "each batch of diagnoses that grow says into how many parts its patients are divided",
            "ingest anew into another folder",
        )
    return found[NUM_PARTITIONS]


def batches_details(
    before: Manifest | None,
    input_files: Sequence[str],
    num_partitions: int,
    replaced: Collection[int] = (),
) -> dict[str, Any]:
    """The manifest's details after one more batch.

    before: the folder's manifest until then. replaced: numbers of batches whose files are read again in it.
    """
    batches = [
        known | {INPUT_FILES: []} if number in replaced else known
        for number, known in enumerate(before.details[BATCHES] if before else ())
    ]
    batch = {INPUT_FILES: list(input_files), NUM_PARTITIONS: num_partitions}
    states = [*before.details[EARLIER], before.fingerprint] if before else []
    first = min(replaced, default=len(states))
    earlier = [state if number < first else None for number, state in enumerate(states)]
    return {BATCHES: [*batches, batch], EARLIER: earlier}


def live_batches(manifest: Manifest) -> dict[int, tuple[str, ...]]:
    """Number → raw files, of the batches that were not read again in a later one."""
    batches = enumerate(manifest.details[BATCHES])
    return {number: tuple(batch[INPUT_FILES]) for number, batch in batches if batch[INPUT_FILES]}


def was_read_again(manifest: Manifest) -> bool:
    """Whether an earlier state had rows that are no longer there."""
    return None in manifest.details.get(EARLIER, ())


def files_since(manifest: Manifest, fingerprint: str) -> tuple[ManifestFile, ...] | None:
    """The files that came since the folder's fingerprint was that one; None if it never was."""
    states = [*manifest.details.get(EARLIER, []), manifest.fingerprint]
    if fingerprint not in states:
        return None
    new = {batch_folder(number) for number in range(states.index(fingerprint) + 1, len(states))}
    return tuple(file for file in manifest.files if file.path.partition("/")[0] in new)


def added_counts(before: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Counts of two sets of rows added up, reason by reason where a count has parts."""
    added = dict(before)
    for name, value in new.items():
        if isinstance(value, Mapping):
            added[name] = added_counts(before.get(name, {}), value)
        else:
            added[name] = before.get(name, 0) + value
    return added
