"""Who trains on which patient: simulated for many worlds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.core.input.order import Order, Position, count, part, share

SHARDS = st.lists(st.integers(0, 30), max_size=8)


def places(spans):
    return [place for start, stop in spans for place in range(start, stop)]


def walk(position, rank):
    """The places of each step that one rank takes from a position on."""
    steps = []
    while not position.is_done:
        mine = position.share_of(rank)
        position = position.after_step()
        left = count(position.share_of(rank)) if not position.is_done else 0
        steps.append(places(part(mine, 0, count(mine) - left)))
    return steps


@given(SHARDS, st.integers(0, 3), st.integers(0, 3))
def test_an_order_has_every_row_once(shard_rows, seed, epoch):
    order = Order.of_epoch(shard_rows, seed, epoch)
    rows = [(s.shard, row) for s in order.segments(((0, order.num_patients),)) for row in s.rows.tolist()]
    assert sorted(rows) == [(shard, row) for shard, size in enumerate(shard_rows) for row in range(size)]


def test_an_order_differs_by_seed_and_epoch_and_repeats():
    def rows(seed, epoch):
        order = Order.of_epoch([50, 50], seed, epoch)
        return [(s.shard, s.rows.tolist()) for s in order.segments(((0, 100),))]

    assert rows(0, 0) == rows(0, 0)
    assert rows(0, 0) != rows(0, 1)
    assert rows(0, 0) != rows(1, 0)


def test_without_a_key_rows_keep_their_order():
    order = Order([2, 0, 3], None)
    assert [(s.shard, s.rows.tolist()) for s in order.segments(((1, 5),))] == [(0, [1]), (2, [0, 1, 2])]


def test_a_span_inside_a_shard_is_the_same_rows_as_in_the_whole_order():
    order = Order.of_epoch([10, 20], 0, 0)
    whole = [(s.shard, row) for s in order.segments(((0, 30),)) for row in s.rows]
    assert [(s.shard, row) for s in order.segments(((4, 9), (25, 27))) for row in s.rows] == (
        whole[4:9] + whole[25:27]
    )


@given(st.integers(0, 5000), st.integers(1, 700))
@settings(max_examples=50)
def test_shares_are_contiguous_disjoint_whole_and_even(num_patients, world_size):
    shares = [share(((0, num_patients),), rank, world_size) for rank in range(world_size)]
    sizes = [count(spans) for spans in shares]
    assert [place for spans in shares for place in places(spans)] == list(range(num_patients))
    assert max(sizes) - min(sizes) <= 1
    assert all(len(spans) <= 1 for spans in shares)


@pytest.mark.parametrize(("num_patients", "world_size"), [(1000, 512), (5, 300), (0, 4), (1, 1), (777, 100)])
def test_every_rank_has_equally_many_steps_and_each_patient_once(num_patients, world_size):
    position = Position.start(0, num_patients, world_size, batch_size=3)
    steps = [walk(position, rank) for rank in range(world_size)]
    assert {len(one) for one in steps} == {position.num_steps}
    assert sorted(p for one in steps for batch in one for p in batch) == list(range(num_patients))
    assert all(len(batch) <= 3 for one in steps for batch in one)
    assert all(any(one[step] for one in steps) for step in range(position.num_steps))


@given(
    st.integers(0, 400),
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 20), st.integers(0, 5)), min_size=1, max_size=4),
)
def test_worlds_may_change_in_mid_epoch_and_each_patient_is_seen_once(num_patients, worlds):
    """worlds: (ranks, batch size, steps that it lasts); the last one finishes the epoch."""
    position = Position.start(0, num_patients, *worlds[0][:2])
    seen = []
    for number, (world_size, batch_size, steps) in enumerate(worlds):
        position = position.for_world(world_size, batch_size)
        per_rank = [walk(position, rank) for rank in range(world_size)]
        if number < len(worlds) - 1:
            per_rank = [one[:steps] for one in per_rank]
        for _ in range(len(per_rank[0])):
            position = position.after_step()
        seen += [p for one in per_rank for batch in one for p in batch]
        position = Position.from_json(json.loads(json.dumps(position.to_json())))
    assert sorted(seen) == list(range(num_patients))
    assert position.is_done


def test_the_same_world_goes_on_exactly():
    position = Position.start(3, 100, 4, 7)
    whole = [walk(position, rank) for rank in range(4)]
    resumed = Position.from_json(position.after_step().after_step().to_json()).for_world(4, 7)
    assert [walk(resumed, rank) for rank in range(4)] == [one[2:] for one in whole]


def test_ranges_of_a_changed_world_stay_few():
    position = Position.start(0, 10_000, 64, 8)
    for world_size in (48, 64, 3, 64):
        for _ in range(2):
            position = position.after_step()
        position = position.for_world(world_size, 8)
    assert len(position.remaining) <= 64 + 48 + 64 + 3


def test_segments_of_a_large_split_are_cheap_to_find():
    order = Order.of_epoch([1000] * 500, 0, 0)
    rows = sum(len(s.rows) for s in order.segments(((123_456, 125_456),)))
    assert rows == 2000
    assert np.isscalar(order.num_patients)


@given(
    st.integers(1, 60),
    st.integers(1, 4),
    st.integers(1, 9),
    st.integers(0, 5),
    st.integers(-5, 300),
)
def test_steps_to_see_patients_are_those_that_it_takes(num_patients, world_size, batch_size, begun, patients):
    position = Position.start(0, num_patients, world_size, batch_size)
    for _ in range(min(begun, position.num_steps)):
        position = position.after_step()
    expected, left, here = 0, patients, position
    while left > 0:
        if here.is_done:
            here = Position.start(here.epoch + 1, num_patients, world_size, batch_size)
        before = sum(count(here.share_of(rank)) for rank in range(world_size))
        here = here.after_step()
        left -= before - sum(count(here.share_of(rank)) for rank in range(world_size))
        expected += 1
    assert position.steps_to_see(patients, num_patients) == expected
