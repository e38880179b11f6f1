"""Which folder was made from which, checked: each stated input fingerprint against the folders of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reports.collect import Run
from schemas.manifest import Manifest


@dataclass(frozen=True)
class Input:
    """One input that a manifest states. ok: whether it still lies there; None: it is not in this run."""

    name: str
    fingerprint: str
    ok: bool | None
    note: str = ""


@dataclass(frozen=True)
class Entry:
    """One published folder with its inputs."""

    path: str
    manifest: Manifest
    inputs: tuple[Input, ...]


def provenance(run: Run) -> tuple[Entry, ...]:
    """An entry for every published folder, in the pipeline's order."""
    published = {folder.path: folder.manifest for folder in run.folders() if folder.manifest is not None}
    by_fingerprint = {manifest.fingerprint: path for path, manifest in published.items()}
    return tuple(
        Entry(
            path, manifest, tuple(_check(*stated, published, by_fingerprint) for stated in _inputs(manifest))
        )
        for path, manifest in published.items()
    )


def _inputs(manifest: Manifest) -> list[tuple[str, str]]:
    return sorted(manifest.inputs.items())


def _check(
    name: str, fingerprint: str, published: Mapping[str, Manifest], by_fingerprint: Mapping[str, str]
) -> Input:
    path = by_fingerprint.get(fingerprint)
    if path is not None:
        return Input(path, fingerprint, True)
    if any(name == found or found.startswith(f"{name}/") for found in published):
        return Input(name, fingerprint, False, "this folder was written again since")
    return Input(name, fingerprint, None, "not in this run")
