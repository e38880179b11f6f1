"""What a pretraining run writes beside its checkpoints, for the report and for a user's own tools.

`metrics.jsonl` has one JSON object a line. Every one has `kind` and `step`; steps only rise, and a run that
was resumed has each step once. Losses are in nats; shares are between 0 and 1; a metric is null where there
was nothing to count.

start: backend, world_size, batch_size (patients a rank), steps, num_patients (of the training split) and
    vocabulary_size. Once for each start of the process.
train: epoch, patients_seen, learning_rate, patients_per_second, codes_per_second, input_wait (share of the
    time in which the first rank waited for its input, or for that of another rank), seconds (since the
    process began to train); and means since the last such line: mlm_loss, los_loss,
    gradient_norm, slots_filled (of the slots that the network computed).
eval: patients, masked_codes, mlm_loss, los_loss, los_auc, los_base_rate; accuracies top_1, top_5, top_10, and
    of the baselines most_frequent_top_1, … (always the most frequent codes) and other_visits_top_1, … (the
    most frequent codes of the patient's other visits). In evaluation every
    masked code stands behind [MASK]: none is left as it is.
checkpoint: folder (relative to the run's); validation_loss: mlm_loss + los_loss of the evaluation at this
    step, null where there was none. Twice for a step whose evaluation was given up to stop in time: before it
    was made, and after.
stop: reason and, for reason SIGTERM (the run was asked to stop, and goes on when it is started again): ranks
    (those that were asked); for reason "not finite" (the next step gave such a value, and was not applied):
    found, a list of rank, rows (shard file → rows in it, from 0) and anomaly (text, or null).

`traces/rank-0.json`, a file a rank, if asked for: some steps in Chrome's trace event format.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.errors import ContractError, NotThere
from schemas.files import parse_json, read_whole_file
from schemas.manifest_forms import Form, OptionalKey, misfit

METRICS_FILE = "metrics.jsonl"
CONFIG_FILE = "config.json"
TENSORBOARD_FOLDER = "tensorboard"
TRACES_FOLDER = "traces"

START = "start"
TRAIN = "train"
EVAL = "eval"
CHECKPOINT = "checkpoint"
STOP = "stop"

MOST_LOG_BYTES = 2 << 30
_ROWS_SHOWN = 20

_RULE = "each line is a JSON object that a run of this release wrote (schemas.training_log)"
_REMEDY = "copy the file again whole, or take that line out"
_NUMBER = int | float | None
_LINE: Mapping[str, Form] = {"kind": str, "step": int}
_FOUND = {"rank": int, "rows": dict[str, list[int]], "anomaly": str | None}
_OF_KIND: Mapping[str, Mapping[str, Form]] = {
    START: {
        "steps": int,
        "backend": OptionalKey(str),
        "world_size": OptionalKey(int),
        "batch_size": OptionalKey(int),
        "num_patients": OptionalKey(int),
        "vocabulary_size": OptionalKey(int),
    },
    CHECKPOINT: {"folder": str, "validation_loss": OptionalKey(_NUMBER)},
    STOP: {"reason": str, "ranks": OptionalKey(list[int]), "found": OptionalKey([_FOUND])},
}


def read_log(uri: str) -> list[dict[str, Any]] | None:
    """The lines of a metrics.jsonl in order; None when there is no such file.

    What stands behind the last end of a line is left out: a process was killed as it wrote. Raises
    ContractError, naming the line, for any other that is no line of a log.
    """
    try:
        content = read_whole_file(uri, _RULE, _REMEDY, MOST_LOG_BYTES)
    except NotThere:
        return None
    whole = content[: content.rfind(b"\n") + 1]
    return [
        parse_line(line, f"{uri} line {number}")
        for number, line in enumerate(whole.split(b"\n"), 1)
        if line.strip()
    ]


def parse_line(line: bytes, where: str) -> dict[str, Any]:
    """One line of a metrics.jsonl. Raises ContractError for what a trainer does not write."""
    entry = parse_json(line, where, _RULE, _REMEDY)
    wrong = misfit(entry, _LINE) or misfit(entry, _OF_KIND.get(entry["kind"], {}))
    if not wrong and entry["kind"] in (TRAIN, EVAL):
        wrong = misfit({"values": {**entry, "kind": None}}, {"values": dict[str, _NUMBER]})
    if not wrong and not all(map(_is_small, entry.values())):
        wrong = "a number is too large"
    if wrong:
        raise ContractError(f"{where} cannot be read: {wrong}", _RULE, _REMEDY)
    return entry


def _is_small(value: Any) -> bool:
    """Whether a whole number is one of 64 bits; true of all else."""
    return not isinstance(value, int) or abs(value) < 1 << 63


def metric(entry: dict[str, Any], name: str) -> Any:
    """A metric of a line of the log; None when it is absent, null, or no finite number."""
    value: Any = entry.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) else None


def rows_text(rows: Sequence[int]) -> str:
    """Rows of a shard file as a person is told them: `rows 1, 7, 8`, the first of many."""
    more = f" and {len(rows) - _ROWS_SHOWN:,} more" if len(rows) > _ROWS_SHOWN else ""
    return f"row{'s' * (len(rows) > 1)} {', '.join(map(str, rows[:_ROWS_SHOWN]))}{more}"
