from __future__ import annotations

import numpy as np

from trainer.core.hashing import derive_key, hash64, permutation


def test_values_are_those_of_splitmix64():
    # The first outputs of SplitMix64 seeded with 0, as published with its reference code.
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert hash64(np.uint64(0), np.arange(3)).tolist() == expected


def test_keys_depend_on_every_part_and_their_order():
    keys = {int(derive_key(*parts)) for parts in [(1, 2), (2, 1), (1, 2, 0), (0, 1, 2), (1, 3), (-1, 2)]}
    assert len(keys) == 6


def test_keys_can_be_derived_from_keys():
    assert derive_key(derive_key(5), 7) != derive_key(5, 7)


def test_a_permutation_has_every_number_and_looks_random():
    numbers = permutation(derive_key(0), 10_000)
    assert sorted(numbers.tolist()) == list(range(10_000))
    assert abs(np.corrcoef(numbers, np.arange(10_000))[0, 1]) < 0.05
    assert permutation(derive_key(0), 0).tolist() == []
