"""The stages from ingest to shards as their command lines, and what they leave in their folders."""

from __future__ import annotations

import os
from collections.abc import Iterable

from schemas.manifest import MANIFEST_NAME, Manifest, read_manifest
from schemas.sequences import SPLITS

# In six files, so that each of two executors reads some.
GENERATED = ("--patients", "300", "--patients_per_block", "50")
SHARDS = tuple(f"shards/{split}" for split in SPLITS)
OUTPUTS = {
    "ingest_claims": ("diagnoses", "diagnoses_rejected"),
    "build_vocabulary": ("vocabulary",),
    "build_sequences": ("sequences",),
    "write_shards": SHARDS,
}
"""Job → its folders in a run."""


def command_lines(root: str = "") -> dict[str, tuple[str, ...]]:
    """Job → its arguments, for a run in the folder `root`, which ends with `/`.

    Some rows are set aside, and there are many files.
    """
    diagnoses, vocabulary = ("--diagnoses", f"{root}diagnoses"), ("--vocabulary", f"{root}vocabulary")
    claims = ("--source", "claims", "--input", f"{root}claims", "--as_of", "2019-12-31")
    return {
        "ingest_claims": (*claims, "--num_partitions", "12", "--output", diagnoses[1]),
        "build_vocabulary": (*diagnoses, "--min_patients", "2", "--output", vocabulary[1]),
        "build_sequences": (*diagnoses, *vocabulary, "--min_codes", "2", "--output", f"{root}sequences"),
        "write_shards": (
            *("--sequences", f"{root}sequences", *vocabulary),
            *("--rows_per_shard", "20", "--min_shards", "2", "--output", f"{root}shards"),
        ),
    }


def manifests(root: str, job: str) -> dict[str, Manifest]:
    """Folder → its manifest, every file's SHA-256 being checked. Raises what a reader raises.

    Equal manifests are equal bytes, made with equal options from equal inputs, and equal counts.
    """
    return {
        folder: read_manifest(f"{root}/{folder}", folder.partition("/")[0], verify=True)
        for folder in OUTPUTS[job]
    }


def strays(root: str, folders: Iterable[str]) -> list[str]:
    """Files in published folders that no manifest lists."""
    found = []
    for folder in folders:
        listed = {file.path for file in read_manifest(f"{root}/{folder}", folder.partition("/")[0]).files}
        found += [
            f"{folder}/{path}" for path in sorted(files_in(f"{root}/{folder}") - listed - {MANIFEST_NAME})
        ]
    return found


def files_in(folder: str) -> set[str]:
    """Paths, relative to the folder, of all files in it and below."""
    return {
        os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names
    }
