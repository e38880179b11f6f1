"""What is timed, and what of it is said."""

from __future__ import annotations

import itertools

import pytest

from benchmarks.train.ratios import ratios
from benchmarks.train.recorder import Plan, Recorder
from benchmarks.train.table import row, to_markdown


def recorded(seconds_a_step: list[float], plan: Plan, waited_s: float | None = None) -> Recorder:
    """Steps of 10 patients, 100 codes in 200 slots; half of the time is CPU time."""
    times = list(itertools.accumulate(seconds_a_step, initial=0.0))
    now = [0.0]
    recorder = Recorder(plan, wall=lambda: now[0], cpu=lambda: now[0] / 2)
    for time in times[1:]:
        now[0] = time
        recorder.after_step(10, 100, 200, waited_s)
    return recorder


def test_warm_up_is_not_timed_and_a_repetition_is_long_enough():
    recorder = recorded([100.0, 1.0, 1.0, 4.0, 2.0], Plan(warm_up=1, repetitions=3, seconds=2.0), 0.5)
    assert recorder.is_done
    assert [(one.steps, one.wall_s) for one in recorder.repetitions] == [(2, 2.0), (1, 4.0), (1, 2.0)]
    summary = recorder.summary()
    assert summary["patients_per_s"] == 5  # of 10, 2.5 and 5
    assert summary["patients_per_cpu_s"] == 10
    assert (summary["codes_per_s"], summary["filled"]) == (50, 0.5)
    assert summary["input_wait"] == pytest.approx(0.25)


def test_nothing_is_said_of_a_wait_that_was_not_seen():
    summary = recorded([1.0, 2.0], Plan(warm_up=1, repetitions=1, seconds=1.0)).summary()
    assert "input_wait" not in summary


def test_ratios_of_what_was_measured():
    measured = {
        "fast": {"patients_per_s": 60.0, "patients_per_cpu_s": 30.0},
        "slow": {"patients_per_s": 2.0, "patients_per_cpu_s": 2.0},
    }
    found = ratios(measured, {"fast over slow": ("fast", "slow"), "fast over none": ("fast", "none")})
    assert found == {"fast over slow, patients by wall": 30.0, "fast over slow, patients by CPU": 15.0}


def test_table_names_device_load_and_every_measurement():
    summary = recorded([1.0, 2.0, 1.0], Plan(1, 2, 1.0), 0.0).summary()
    one = summary | {"batch_size": 10, "resident_mib": 300, "load": 7.5, "device": "a GPU"}
    assert row("(b) ours", one)["slowest_to_fastest"] == "5.0 to 10.0"
    text = to_markdown(
        {
            "data": {"patients": 1000, "codes_a_patient": 21.2, "longest": 600, "vocabulary_size": 82603},
            "preset": "base.yaml",
            "devices": ["a GPU"],
            "load_before": 1.0,
            "load_after": 2.0,
            "measured": {"(b) ours": one},
            "findings": {"ours over theirs": 30.0},
        }
    )
    assert "1,000 patients of 21.2 codes" in text and "on a GPU; load 1.0 before" in text
    assert "| (b) ours | 10 | 7.5 |" in text and "- ours over theirs: 30.0" in text
