"""A backend with a device of its own begins a step before it knows how the last one went."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.trainer.runs import read_log, run_ranks
from trainer.core.non_finite import NotFinite

TIMES = {"patients_per_second", "codes_per_second", "input_wait", "seconds"}

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered")


def numbers(config):
    return [{name: line[name] for name in line.keys() - TIMES} for line in read_log(config)]


def test_a_run_is_the_same_whether_it_runs_ahead(make_config, tmp_path):
    config = make_config(steps=23, log_every=4)
    ahead = replace(config, output=str(tmp_path / "ahead"))
    plain, other = run_ranks(config, 2), run_ranks(ahead, 2, runs_ahead=True)
    assert numbers(ahead) == numbers(config)
    for name, weights in plain[0].weights.items():
        np.testing.assert_array_equal(other[0].weights[name], weights)
    assert not plain[0].events


def test_one_step_at_most_is_under_way_and_none_where_its_result_is_needed(make_config):
    (backend,) = run_ranks(make_config(steps=9, log_every=4), runs_ahead=True)
    assert backend.events == [
        *[("begin", 1), ("begin", 2), ("end", 1), ("begin", 3), ("end", 2), ("begin", 4), ("end", 3)],
        *[("end", 4), ("begin", 5), ("begin", 6), ("end", 5), ("begin", 7), ("end", 6), ("begin", 8)],
        *[("end", 7), ("end", 8), ("begin", 9), ("end", 9)],
    ]


def test_a_bad_step_is_named_though_the_next_one_had_begun(make_config):
    config = make_config(log_every=1000, checkpoint_every=1000, eval_every=1000)

    def before_step(step, backend):
        if step == 12 and backend._world.rank == 1:
            backend.weights["los"][:] = float("nan")

    with pytest.raises(NotFinite, match=r"step 12 gave a value that is not finite \(rank 1: part-000"):
        run_ranks(config, 2, before_step=before_step, runs_ahead=True)
    (finding,) = run_ranks.errors[0].findings
    assert sum(map(len, finding.rows.values())) == config.batch_size
    stop = read_log(config)[-1]
    assert (stop["kind"], stop["step"], stop["reason"]) == ("stop", 11, "not finite")
