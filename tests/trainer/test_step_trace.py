"""--profile_steps: a trace a rank, with the loop's own spans among the framework's events."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import contextmanager

import pytest

from schemas.manifest import join
from schemas.training_log import TRACES_FOLDER
from tests.trainer.processes import finish, start
from trainer.core.step_trace import WARM_UP_STEPS, StepTrace
from trainer.core.world import World

TRACED = 3


class Recorder:
    """A tracer that notes what it is asked."""

    def __init__(self):
        self.said = []

    def start(self):
        self.said.append("start")

    @contextmanager
    def span(self, name):
        self.said.append(name)
        yield

    def stop(self):
        self.said.append("stop")
        return b"{}"


def go(trace, steps):
    for step in range(1, steps + 1):
        with trace.step(step), trace.span("work"):
            pass


def test_the_steps_after_the_warm_up_are_traced_once(tmp_path):
    recorder = Recorder()
    trace = StepTrace(recorder, 2, str(tmp_path), World(1, 2, 1))
    go(trace, WARM_UP_STEPS + 5)
    trace.close()
    first = WARM_UP_STEPS + 1
    assert recorder.said == ["start", f"step {first}", "work", f"step {first + 1}", "work", "stop"]
    assert (tmp_path / TRACES_FOLDER / "rank-1.json").read_bytes() == b"{}"


def test_a_run_that_ends_sooner_writes_what_it_has(tmp_path):
    recorder = Recorder()
    trace = StepTrace(recorder, 9, str(tmp_path), World())
    go(trace, WARM_UP_STEPS + 1)
    trace.close()
    assert recorder.said[-1] == "stop"
    assert (tmp_path / TRACES_FOLDER / "rank-0.json").exists()


def test_a_trace_that_cannot_be_written_ends_no_run(tmp_path, caplog):
    (tmp_path / TRACES_FOLDER).write_text("a file where a folder should be")
    go(StepTrace(Recorder(), 1, str(tmp_path), World()), WARM_UP_STEPS + 1)
    assert "cannot be written" in caplog.text


@pytest.mark.parametrize(
    ("backend", "ranks", "operation"),
    [
        pytest.param("torch", 2, "aten::", marks=pytest.mark.horovod),
        ("tensorflow", 1, "MatMul"),
    ],
)
def test_a_real_run(data_set, tmp_path, backend, ranks, operation):
    output = str(tmp_path / "run")
    last = WARM_UP_STEPS + TRACED
    more = {"profile_steps": TRACED, "steps": last, "checkpoint_every": last - 1}
    finish(start(data_set, output, backend, ranks, **more))
    for rank in range(ranks):
        with open(join(output, TRACES_FOLDER, f"rank-{rank}.json")) as stream:
            events = json.load(stream)["traceEvents"]
        spans = [event for event in events if event["ph"] == "X"]
        for event in spans:
            assert {"name", "pid", "tid"} <= event.keys()
            assert isinstance(event["tid"], str) or 0 <= event["tid"] < 2**32
            assert event["ts"] >= 0 and event["dur"] >= 0
        names = [event["name"] for event in spans]
        for step in range(1, last + 1):
            assert (f"step {step}" in names) == (step > WARM_UP_STEPS)
        for name in ("wait for input", "agree with the other ranks", "train step"):
            assert names.count(name) == TRACED
        assert names.count("save checkpoint") == 2
        assert names.count("all-reduce") == (TRACED if ranks > 1 else 0)
        assert any(operation in name for name in names)
        check_within(spans, "train step", "step ")
        check_nested(spans)


def check_within(spans, inner, outer):
    """Each inner span lies inside some outer one: one clock for all."""
    frames = [(e["ts"], e["ts"] + e["dur"]) for e in spans if e["name"].startswith(outer)]
    for event in spans:
        if event["name"] == inner:
            assert any(a - 1 <= event["ts"] and event["ts"] + event["dur"] <= b + 1 for a, b in frames)


def check_nested(spans):
    """Each two spans of a thread lie apart or one in the other: a viewer drops those that do not."""
    threads = defaultdict(list)
    for event in spans:
        start = round(event["ts"] * 1e3)
        threads[event["pid"], event["tid"]].append((start, -round(event["dur"] * 1e3)))
    for frames in threads.values():
        under_way = []
        for start, minus_duration in sorted(frames):
            while under_way and under_way[-1] <= start:
                under_way.pop()
            end = start - minus_duration
            assert not under_way or end <= under_way[-1]
            under_way.append(end)
