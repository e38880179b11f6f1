"""Contracts checked while data pass by: no extra read, one aggregate.

`watch` attaches counters of broken rules to a DataFrame; the job's own action fills them, and `Watch.check`
is asked before anything is published. It serves what a job reads as well as what it writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from schemas.diagnoses import DIAGNOSES
from schemas.errors import ContractError
from schemas.sequences import SEQUENCES
from schemas.shards import SHARDS
from schemas.table import TableSchema
from spark_jobs.publish import Published
from spark_jobs.rules import Rule, diagnosis_rules, null_rules, sequence_rules, shard_rules


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


class Watch:
    """The counters of one watched DataFrame. They are those of its first action."""

    def __init__(self, observation: Observation, rules: list[Rule]) -> None:
        self._observation, self._rules = observation, rules

    def check(self, where: str) -> None:
        """Raise ContractError when a row broke a rule. Only after an action on the watched DataFrame."""
        counts = self._observation.get
        broken = [(rule.says, counts.get(f"rule_{n}") or 0) for n, rule in enumerate(self._rules)]
        found = [f"{count} rows where not: {says}" for says, count in broken if count]
        if found:
            raise ContractError(
                f"{where} breaks its contract: {'; '.join(found)}",
                "every row keeps the table's invariants",
                "write it again with the stage that makes it; if this release did, please report it",
            )


def watch(rows: DataFrame, schema: TableSchema, rules: list[Rule], where: str) -> tuple[DataFrame, Watch]:
    """Check columns and types now, nulls and rules in the next action on the returned DataFrame."""
    schema.check_columns(dict(rows.dtypes), where)
    every = null_rules(schema) + rules
    observation = Observation()
    counts = [F.count_if(rule.broken).alias(f"rule_{n}") for n, rule in enumerate(every)]
    return rows.observe(observation, *counts), Watch(observation, every)


def watch_diagnoses(rows: DataFrame, where: str) -> tuple[DataFrame, Watch]:
    return watch(rows, DIAGNOSES, diagnosis_rules(), where)


def watch_sequences(rows: DataFrame, where: str) -> tuple[DataFrame, Watch]:
    return watch(rows, SEQUENCES, sequence_rules(), where)


def watch_shards(rows: DataFrame, vocabulary_size: int, where: str) -> tuple[DataFrame, Watch]:
    return watch(rows, SHARDS, shard_rules(vocabulary_size), where)
