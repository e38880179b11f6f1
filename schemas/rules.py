"""The invariants of the tables, checked on Arrow batches by whoever reads or writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.claims import CLAIMS
from schemas.codes import SEPARATOR
from schemas.diagnoses import DIAGNOSES
from schemas.errors import ContractError
from schemas.sequences import PROLONGED_LOS_DAYS, SEQUENCES
from schemas.shards import SHARDS
from schemas.table import TableSchema

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def check_claims(rows: pa.RecordBatch, where: str) -> None:
    """Raise ContractError where a row breaks the contract of generated claims."""
    _check(rows, CLAIMS, lambda rows: {}, where)


def check_diagnoses(rows: pa.RecordBatch, where: str) -> None:
    """Raise ContractError where a row breaks the contract of diagnoses, as far as its columns are there."""
    _check(rows, DIAGNOSES, _diagnosis_rules, where)


def check_sequences(rows: pa.RecordBatch, where: str) -> None:
    """Raise ContractError where a row breaks the contract of sequences."""
    _check(rows, SEQUENCES, _sequence_rules, where)


def check_shards(rows: pa.RecordBatch, where: str, vocabulary_size: int) -> None:
    """Raise ContractError where a row breaks the contract of shards."""
    _check(rows, SHARDS, lambda rows: _shard_rules(rows, vocabulary_size), where)


def _check(
    rows: pa.RecordBatch,
    schema: TableSchema,
    rules: Callable[[pa.RecordBatch], Mapping[str, Flags]],
    where: str,
) -> None:
    if not rows.num_rows:
        return
    there = set(rows.schema.names)
    required = [column.name for column in schema.columns if not column.nullable and column.name in there]
    found = {f"{name} is not null": rows[name].null_count for name in required}
    if not any(found.values()):
        found = {says: int(np.count_nonzero(broken)) for says, broken in rules(rows).items()}
    told = [f"{count} rows where not: {says}" for says, count in found.items() if count]
    if told:
        raise ContractError(
            f"{where} breaks its contract: {'; '.join(told)}",
            "every row keeps the table's invariants",
            "write it again with the stage that makes it; if this release did, please report it",
        )


def _diagnosis_rules(rows: pa.RecordBatch) -> dict[str, Flags]:
    codes = rows["code"].dictionary_encode()
    has_system = _flags(pc.match_substring(codes.dictionary, SEPARATOR))
    broken = {"code is SYSTEM//CODE": ~has_system[codes.indices.to_numpy()]}
    if {"admit_date", "discharge_date"} <= set(rows.schema.names):
        too_early = pc.less(rows["discharge_date"], rows["admit_date"])
        broken["discharge_date is not before admit_date"] = _flags(too_early)
    return broken


def _sequence_rules(rows: pa.RecordBatch) -> dict[str, Flags]:
    codes, visits = _lengths(rows["token_ids"]), _lengths(rows["visit_admit_dates"])
    one_a_visit = ("visit_discharge_dates", "los_days", "days_to_next_visit")
    numbered = _lengths(rows["visit_numbers"])
    of_shape = {
        "a patient has a code": codes == 0,
        "token_ids and visit_numbers have one length": codes != numbered,
        "the visit arrays have one entry a visit": (visits == 0)
        | np.any([_lengths(rows[name]) != visits for name in one_a_visit], axis=0),
    }
    if any(broken.any() for broken in of_shape.values()):
        return of_shape
    patient = np.repeat(np.arange(len(codes)), codes)
    number, token = _values(rows["visit_numbers"]), _values(rows["token_ids"])
    first, last = np.cumsum(codes) - codes, np.cumsum(codes) - 1
    step = np.diff(number, prepend=0)
    step[first] = number[first]
    rises = (step == 1) | ((step == 0) & ~np.isin(np.arange(len(step)), first))
    pair = (np.cumsum(step != 0) * (int(token.max()) + 1)) + token
    order = np.argsort(pair, kind="stable")
    again = np.zeros(len(pair), bool)
    again[order[1:]] = pair[order][1:] == pair[order][:-1]
    los, to_next = _values(rows["los_days"]), _values(rows["days_to_next_visit"])
    last_visit = np.cumsum(visits) - 1
    longest = np.maximum.reduceat(los, last_visit - visits + 1)
    shortest = np.minimum.reduceat(los, last_visit - visits + 1)
    return {
        "the visit arrays have one entry a visit": number[last] != visits,
        "visit numbers start at 1 and rise by one": _any_of(patient[~rises], len(codes)),
        "a code stands once in a visit": _any_of(patient[again], len(codes)),
        "the last visit's days_to_next_visit is 0": to_next[last_visit] != 0,
        "los_days are not negative": shortest < 0,
        f"prolonged_los says whether a stay is longer than {PROLONGED_LOS_DAYS} days": (
            _flags(rows["prolonged_los"]) != (longest > PROLONGED_LOS_DAYS)
        ),
    }


def _shard_rules(rows: pa.RecordBatch, vocabulary_size: int) -> dict[str, Flags]:
    codes, token = _lengths(rows["token_ids"]), _values(rows["token_ids"])
    patient = np.repeat(np.arange(len(codes)), codes)
    return {
        "token_ids and visit_numbers have one length, not 0": (codes != _lengths(rows["visit_numbers"]))
        | (codes == 0),
        "token_ids are ids of the vocabulary": _any_of(
            patient[(token < 0) | (token >= vocabulary_size)], len(codes)
        ),
        "prolonged_los is 0 or 1": ~np.isin(rows["prolonged_los"].to_numpy(), (0, 1)),
    }


def _flags(column: pa.Array) -> Flags:
    return column.to_numpy(zero_copy_only=False)


def _lengths(lists: pa.Array) -> Ints:
    return pc.list_value_length(lists).to_numpy().astype(np.int64)


def _values(lists: pa.Array) -> Ints:
    return lists.flatten().to_numpy().astype(np.int64)


def _any_of(patients: Ints, count: int) -> Flags:
    """(count,) whether each patient is among them."""
    return np.bincount(patients, minlength=count) > 0
