"""Jobs that together run every kind of task that the product has: what a Spark worker must be able to run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.spark_jobs.raw_sources import write_raw_sources
from tests.spark_jobs.stages import GENERATED, command_lines

Jobs = list[tuple[str, tuple[str, ...]]]


def every_task(folder: Path) -> Jobs:
    """(job, arguments), to run in turn in this folder, where their inputs are written."""
    return list(_jobs(write_raw_sources(folder)))


def _jobs(sources: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "generate_claims", (*GENERATED, "--output", "claims")
    yield from command_lines().items()
    yield "map_codes", ("--diagnoses", "diagnoses", "--roll_up", "three", "--output", "mapped")
    yield "profile_stage", ("--input", "diagnoses", "--output", "profile/diagnoses")
    of_vocabulary = ("--vocabulary", "vocabulary")
    yield "profile_stage", ("--input", "shards/train", *of_vocabulary, "--output", "profile/train")
    for source, options in sources.items():
        yield "ingest_claims", (*options, "--output", f"from_{source}/diagnoses")
    yield (
        "preprocess",
        (
            *("--ingest.source", "medbert", "--ingest.input", "medbert", "--ingest.follow", "now"),
            *("--ingest.output", "grown/diagnoses", "--vocabulary.diagnoses", "grown/diagnoses"),
            *("--vocabulary.output", "grown/vocabulary", "--vocabulary.min_patients", "2"),
            *("--sequences.diagnoses", "grown/diagnoses", "--sequences.vocabulary", "grown/vocabulary"),
            *("--sequences.min_codes", "1", "--sequences.output", "grown/sequences"),
        ),
    )
