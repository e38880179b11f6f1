"""What a job checks of its options, its counts and the rows that pass through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame

from schemas.errors import ContractError
from spark_jobs.files.publish import Published


def check_nothing_lost(counts: dict[str, Any], source_rows: int, seen_rows: int, where: str) -> None:
    """Diagnoses in are diagnoses out and set aside, each with one reason, and every row of the source was
    seen once. Raises ContractError.
    """
    rows_in, out, aside = (counts[name] for name in ("rows_in", "rows_out", "rows_rejected"))
    reasons = sum(counts["rejected"].values())
    if rows_in != out + aside or aside != reasons or source_rows != seen_rows:
        raise ContractError(
            f"{where}: {source_rows} rows, {seen_rows} seen, in them {rows_in} diagnoses, {out} out, {aside} "
            f"set aside, {reasons} with a reason",
            "rows in = rows out + rows set aside",
            "check that the input does not change while it is read, and that the key of each joined table "
            "(e.g. visit_occurrence_id) stands there once",
        )


def check_positive(**options: int | None) -> None:
    """Raise ContractError for an option below 1; None is no choice."""
    for name, value in options.items():
        if value is not None and value < 1:
            raise ContractError(f"{name} is {value}", "it is 1 or more", f"give another --{name}")


def check_choice(name: str, chosen: Sequence[str], known: Sequence[str]) -> None:
    """Raise ContractError unless at least one is chosen, each known and once."""
    if not chosen or len(set(chosen)) != len(chosen) or not set(chosen) <= set(known):
        raise ContractError(
            f"{name} is [{', '.join(chosen)}]",
            f"known ones are {', '.join(known)}",
            f"give one or more in --{name}",
        )


def check_built_with(made: Published, kind: str, given: Published) -> None:
    """Raise ContractError when a folder was not made from this very input."""
    if made.manifest.inputs.get(kind) != given.manifest.fingerprint:
        raise ContractError(
            f"{made.uri} was made with another {kind} than {given.uri}",
            f"the ids in a {made.manifest.kind} folder are those of its own {kind}",
            f"give the {kind} that it was made with, or make it again",
        )


def checked(rows: DataFrame, check: Callable[[pa.RecordBatch, str], None], where: str) -> DataFrame:
    """The same rows, of which each batch is checked (schemas.rules) on its way. A broken one ends the action:
    see worker_errors. Tasks that have the rows in hand anyway check them there.
    """

    def pass_on(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            check(batch, where)
            yield batch

    return rows.mapInArrow(pass_on, rows.schema)
