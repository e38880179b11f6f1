"""Bytes as disks, copies and people change them, by seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

Mutation = Callable[[random.Random, bytes], bytes]


def flip_bit(chance: random.Random, content: bytes) -> bytes:
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]


def set_byte(chance: random.Random, content: bytes) -> bytes:
    at = chance.randrange(len(content))
    return content[:at] + chance.randbytes(1) + content[at + 1 :]


def zero_block(chance: random.Random, content: bytes) -> bytes:
    start, stop = _span(chance, content)
    return content[:start] + bytes(stop - start) + content[stop:]


def cut_out(chance: random.Random, content: bytes) -> bytes:
    start, stop = _span(chance, content)
    return content[:start] + content[stop:]


def repeat(chance: random.Random, content: bytes) -> bytes:
    start, stop = _span(chance, content)
    return content[:stop] + content[start:stop] + content[stop:]


def swap(chance: random.Random, content: bytes) -> bytes:
    """Two bytes change places: same size, same bytes, same sum."""
    changed = bytearray(content)
    one, other = chance.randrange(len(content)), chance.randrange(len(content))
    changed[one], changed[other] = changed[other], changed[one]
    return bytes(changed)


def truncate(chance: random.Random, content: bytes) -> bytes:
    return content[: chance.randrange(len(content))]


def append(chance: random.Random, content: bytes) -> bytes:
    return content + chance.randbytes(chance.randint(1, 40))


MUTATIONS: tuple[Mutation, ...] = (
    *(flip_bit, set_byte, zero_block, cut_out),
    *(repeat, swap, truncate, append),
)


def mutations(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """So many, of each kind in turn. Some are the content as it was."""
    chance = random.Random(seed)
    for number in range(count):
        yield MUTATIONS[number % len(MUTATIONS)](chance, content)


def _span(chance: random.Random, content: bytes) -> tuple[int, int]:
    start = chance.randrange(len(content))
    return start, min(len(content), start + chance.randint(1, 64))
