import json

from schemas.training_log import metric, read_log


def test_what_is_no_line_of_a_log_is_left_out(tmp_path):
    log = tmp_path / "metrics.jsonl"
    whole = [{"kind": "eval", "step": 7, "los_auc": None}, {"kind": "train", "step": 8}]
    lines = [json.dumps(line) for line in whole]
    log.write_bytes("\n".join([*lines, "7", '{"kind": "eval"}', '{"kind": "tra']).encode() + b"\xff")
    assert read_log(str(log)) == whole
    assert read_log(str(tmp_path / "gone.jsonl")) is None
    assert read_log(str(tmp_path)) is None


def test_a_metric_is_a_finite_number_or_none():
    line = {"a": 0.5, "b": None, "c": float("nan"), "d": True, "e": "0.5"}
    assert [metric(line, name) for name in "abcdef"] == [0.5, None, None, None, None, None]
