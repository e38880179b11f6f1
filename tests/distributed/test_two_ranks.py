"""Two processes under horovodrun train as one does."""

import numpy as np
import pytest

pytestmark = pytest.mark.horovod


@pytest.fixture(scope="module", params=["tensorflow", "torch"])
def runs(request, run_backend):
    """(what rank 0 has, what rank 1 has, what one process has on its own)"""
    first, second = run_backend(request.param, "together", ranks=2)
    return first, second, run_backend(request.param, "alone")[0]


def under(results, name):
    start = f"{name}/"
    return {key.removeprefix(start): value for key, value in results.items() if key.startswith(start)}


@pytest.mark.parametrize("run", ["five_steps", "one_idle"])
def test_two_ranks_end_where_one_process_does(runs, run):
    first, _, alone = runs
    assert first["size"] == 2
    for name, expected in under(alone, "five_steps").items():
        np.testing.assert_allclose(first[f"{run}/{name}"], expected, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("run", ["five_steps", "one_idle", "with_dropout"])
def test_ranks_stay_equal_to_the_bit(runs, run):
    first, second, _ = runs
    for name, expected in under(first, run).items():
        np.testing.assert_array_equal(second[f"{run}/{name}"], expected, err_msg=name)


def test_the_first_ranks_weights_are_broadcast(runs):
    first, second, _ = runs
    assert not np.array_equal(first["before_broadcast"], second["before_broadcast"])


def test_each_rank_draws_its_own_dropout(runs):
    first, second, _ = runs
    assert not np.array_equal(first["dropout_differs"], second["dropout_differs"])


def test_a_bad_rank_stops_the_update_of_every_rank(runs):
    for rank in runs[:2]:
        assert not rank["non_finite/applied"]
        assert rank["non_finite/changed"].tolist() == []


def test_only_the_bad_rank_calls_its_own_part_bad(runs):
    good, bad = runs[:2]
    assert good["own_part/finite"] and not bad["own_part/finite"]
    assert str(good["own_part/anomaly"]) == "None"
    assert str(bad["own_part/anomaly"]).endswith("cls/seq_relationship/output_bias")


def test_all_reduce_sums_exactly(runs):
    for rank in runs[:2]:
        assert rank["sums"].dtype == np.float64
        assert rank["sums"].tolist() == [3.0, 2.0**41 + 1]
        assert rank["sizes"].tolist() == [2.0] * 5
        assert rank["counts"].shape == ()
        assert int(rank["counts"]) == 2**61 + 1
