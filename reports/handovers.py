"""The reconciliation between stages: what one gave out, the next took in."""

from __future__ import annotations

from dataclasses import dataclass

from reports.collect import Run
from reports.flow import CLAIMS, CODES, DIAGNOSES, PATIENTS
from reports.patients import splits
from schemas import claims, diagnoses, sequences, vocabulary
from schemas.code_maps import MAPPED_FOLDER
from schemas.shards import FORMATS


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


def handovers(run: Run) -> list[Handover]:
    """The numbers of neighbouring stages that are known on both sides."""
    in_sequences = run.num_rows(sequences.KIND)
    pairs = [
        (
            "in claims/, read by ingest",
            CLAIMS,
            _claims_written(run),
            run.count(diagnoses.KIND, "claims_in"),
        ),
        (
            "set aside by ingest, kept in diagnoses_rejected/",
            DIAGNOSES,
            run.count(diagnoses.KIND, "rows_rejected"),
            run.num_rows(diagnoses.REJECTED_KIND),
        ),
        (
            "given out by ingest, read for the code mapping",
            DIAGNOSES,
            run.num_rows(diagnoses.KIND),
            run.count(MAPPED_FOLDER, "rows_in"),
        ),
        *(
            (
                f"given out by {stage}, read for the {kind}",
                DIAGNOSES,
                run.num_rows(folder),
                run.count(kind, "rows_in"),
            )
            for kind in (vocabulary.KIND, sequences.KIND)
            for stage, folder in [_read_by(run, kind)]
        ),
        ("in sequences/, counted in shards/", PATIENTS, in_sequences, _counted(run, "patients")),
        (
            "in sequences/, counted in shards/",
            CODES,
            run.count(sequences.KIND, "codes"),
            _counted(run, "codes"),
        ),
        *(
            (f"in sequences/, in the {name} files of shards/", PATIENTS, in_sequences, _in_files(run, name))
            for name in FORMATS
        ),
        (
            "in shards/train/, read by the trainer",
            PATIENTS,
            _counted(run, "patients", "train"),
            _trained(run),
        ),
    ]
    return [
        Handover(text, unit, left, right)
        for text, unit, left, right in pairs
        if left is not None and right is not None
    ]


def _read_by(run: Run, kind: str) -> tuple[str, str]:
    """The stage and folder whose diagnoses a stage read: mapped ones only where its manifest says so."""
    reader, mapped = run.manifest(kind), run.manifest(MAPPED_FOLDER)
    if reader and mapped and reader.inputs.get(diagnoses.KIND) == mapped.fingerprint:
        return "the code mapping", MAPPED_FOLDER
    return "ingest", diagnoses.KIND


def _claims_written(run: Run) -> int | None:
    manifest = run.manifest(claims.KIND)
    if manifest is None:
        return None
    return sum(file.rows for file in manifest.files if file.path.startswith(f"{claims.CLAIMS_FOLDER}/"))


def _counted(run: Run, what: str, only: str | None = None) -> int | None:
    """`patients` or `codes` of the shards, as their manifests count them."""
    found = [split for split in splits(run) if only in (None, split.name)]
    return sum(getattr(split, what) for split in found) if found else None


def _in_files(run: Run, file_format: str) -> int | None:
    found = [
        split.patients_in_files[file_format]
        for split in splits(run)
        if file_format in split.patients_in_files
    ]
    return sum(found) if found else None


def _trained(run: Run) -> int | None:
    starts = run.training.starts if run.training else ()
    return starts[-1]["num_patients"] if starts else None
