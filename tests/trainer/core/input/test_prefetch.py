from __future__ import annotations

import itertools
import threading

import pytest

from trainer.core.input.prefetch import Prefetch


def test_items_in_order_then_the_end_again_and_again():
    items = Prefetch(iter(range(20)))
    assert list(items) == list(range(20))
    assert list(items) == []


def test_an_error_comes_in_its_place():
    def source():
        yield 1
        raise ValueError("no more")

    items = Prefetch(source())
    assert next(items) == 1
    for _ in range(2):
        with pytest.raises(ValueError, match="no more"):
            next(items)


def test_close_stops_an_endless_source():
    closed = threading.Event()

    def source():
        try:
            yield from itertools.count()
        finally:
            closed.set()

    items = Prefetch(source())
    assert next(items) == 0
    items.close()
    assert closed.is_set()
