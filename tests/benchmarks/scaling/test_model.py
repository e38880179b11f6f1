"""The model of a step on many ranks, against numbers worked out by hand."""

from __future__ import annotations

import pytest

from benchmarks.scaling.model import (
    Cluster,
    Network,
    Step,
    compute_s_for,
    efficiency,
    fit,
    ring_all_reduce_s,
    step_s,
)

GIGABYTE_A_SECOND = Network("1 GB/s, 10 µs", 1e9, 10e-6)
FAST = Network("100 GB/s, 1 µs", 100e9, 1e-6)
CLUSTER = Cluster(8, inside=FAST, between=GIGABYTE_A_SECOND)
STEP = Step(compute_s=0.1, gradient_bytes=64_000_000, overhead_s=0.001)


@pytest.mark.parametrize(
    ("num_bytes", "ranks", "seconds"),
    [
        (64_000_000, 1, 0.0),
        (64_000_000, 2, 0.06402),  # 2 messages of 32 MB: 2 × (10 µs + 32 ms)
        (64_000_000, 4, 0.09606),  # 6 of 16 MB: 6 × (10 µs + 16 ms)
        (64_000_000, 64, 0.12726),  # 126 of 1 MB: 126 × (10 µs + 1 ms)
        (0, 5, 80e-6),  # 8 empty ones
    ],
)
def test_ring(num_bytes, ranks, seconds):
    assert ring_all_reduce_s(num_bytes, ranks, GIGABYTE_A_SECOND) == pytest.approx(seconds, rel=1e-12)


def test_a_step_computes_then_sums_gradients_and_a_small_array():
    assert step_s(STEP, 1, CLUSTER) == 0.1
    # On 64 ranks: 0.1 + 0.001 + 0.12726 and, for 64 bytes, 0.001 + 126 × (10 µs + 1 ns).
    assert step_s(STEP, 64, CLUSTER) == pytest.approx(0.230520126, rel=1e-9)
    assert efficiency(STEP, 64, CLUSTER) == pytest.approx(0.1 / 0.230520126, rel=1e-9)


def test_inside_a_node_the_ring_is_fast():
    # 14 messages of 8 MB, 14 × (1 µs + 80 µs); the small sum: 14 × 1 µs; twice the overhead.
    assert step_s(STEP, 8, CLUSTER) == pytest.approx(0.1 + 0.002 + 0.001134 + 0.000014, rel=1e-6)
    assert efficiency(STEP, 8, CLUSTER) > 0.96 > efficiency(STEP, 9, CLUSTER)


def test_the_step_for_an_efficiency_has_that_efficiency():
    longer = Step(compute_s_for(0.9, STEP, 64, CLUSTER), STEP.gradient_bytes, STEP.overhead_s)
    assert longer.compute_s == pytest.approx(0.130520126 * 9, rel=1e-9)
    assert efficiency(longer, 64, CLUSTER) == pytest.approx(0.9)


def test_a_fit_finds_what_made_the_times():
    sizes = [2**power for power in range(10, 27, 2)]
    times = [0.002 + ring_all_reduce_s(size, 2, Network("", 2e9, 0.0)) for size in sizes]
    assert fit(sizes, times, 2) == pytest.approx((0.002, 2e9), rel=1e-9)
