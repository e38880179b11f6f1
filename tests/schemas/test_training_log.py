import json

import pytest

from schemas.errors import ContractError
from schemas.training_log import metric, read_log

WHOLE = [{"kind": "eval", "step": 7, "los_auc": None}, {"kind": "train", "step": 8}]


def test_half_a_line_at_the_end_is_left_out(tmp_path):
    log = tmp_path / "metrics.jsonl"
    lines = [json.dumps(line) for line in WHOLE]
    log.write_bytes("\n".join([*lines, '{"kind": "tra']).encode() + b"\xff")
    assert read_log(str(log)) == WHOLE
    assert read_log(str(tmp_path / "gone.jsonl")) is None


@pytest.mark.parametrize(
    "line",
    [
        b"7",
        b"\xff",
        b'{"kind": "eval"}',
        b'{"kind": "train", "step": "8"}',
        b'{"kind": "train", "step": 8, "seconds": "9"}',
        b'{"kind": "start", "step": 8}',
        b'{"kind": "train", "step": 8, "loss": 1' + b"0" * 30 + b"}",
        b"[" * 20_000,
    ],
)
def test_any_other_line_is_refused_by_its_number(tmp_path, line):
    log = tmp_path / "metrics.jsonl"
    log.write_bytes(b"\n".join([json.dumps(WHOLE[0]).encode(), line, json.dumps(WHOLE[1]).encode()]) + b"\n")
    with pytest.raises(ContractError, match=r"metrics\.jsonl line 2 cannot be read"):
        read_log(str(log))


def test_a_metric_is_a_finite_number_or_none():
    line = {"a": 0.5, "b": None, "c": float("nan"), "d": True, "e": "0.5"}
    assert [metric(line, name) for name in "abcdef"] == [0.5, None, None, None, None, None]
