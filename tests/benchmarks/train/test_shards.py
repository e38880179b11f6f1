"""The benchmark's shards keep the contract, and are what they are said to be."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.train import shards
from schemas.shards import PARQUET, read_shard_set
from schemas.vocabulary import read_vocabulary
from trainer.readers import open_reader

SIZE = 500


@pytest.fixture
def data(tmp_path, monkeypatch) -> str:
    """250 patients in three shards."""
    monkeypatch.setattr(shards, "ROWS_PER_SHARD", 100)
    fingerprint = shards.write_vocabulary(f"{tmp_path}/vocabulary", SIZE)
    shards.write_split(f"{tmp_path}/train", 250, SIZE, fingerprint, seed=0)
    return str(tmp_path)


def test_every_reader_accepts_them_and_sees_the_same(data):
    vocabulary = read_vocabulary(f"{data}/vocabulary")
    shard_set = read_shard_set(f"{data}/train", PARQUET, verify=True)
    assert (len(vocabulary), shard_set.num_patients, len(shard_set.files)) == (SIZE, 250, 3)
    assert shard_set.vocabulary_fingerprint == vocabulary.fingerprint
    arrow, tfrecord = open_reader("arrow", f"{data}/train"), open_reader("tfrecord", f"{data}/train")
    for number in range(3):
        one, other = arrow.read(number), tfrecord.read(number)
        for name, values in vars(one).items():
            np.testing.assert_array_equal(values, getattr(other, name))
        assert one.token_ids.min() >= vocabulary.special.first_code_id
        assert (one.visit_numbers[one.offsets[:-1]] == 1).all()
        assert np.isin(np.diff(one.visit_numbers)[np.diff(one.visit_numbers) >= 0], (0, 1)).all()


def test_the_same_seed_gives_the_same_bytes(data, tmp_path):
    fingerprint = read_vocabulary(f"{data}/vocabulary").fingerprint
    shards.write_split(f"{tmp_path}/again", 250, SIZE, fingerprint, seed=0)
    shards.write_split(f"{tmp_path}/other", 250, SIZE, fingerprint, seed=1)
    first, again, other = (
        [file.sha256 for file in read_shard_set(f"{tmp_path}/{name}", PARQUET).files]
        for name in ("train", "again", "other")
    )
    assert first == again
    assert not set(first) & set(other)


def test_lengths_and_codes_have_the_stated_shape():
    chance = np.random.default_rng(0)
    lengths = shards.random_lengths(chance, 50_000)
    assert 15 <= lengths.mean() <= 30
    assert lengths.min() >= shards.SHORTEST
    assert (lengths > 512).any() and lengths.max() <= shards.LONGEST
    rows = shards.random_rows(chance, 20_000, 10_000)
    counts = np.bincount(rows.column("token_ids").flatten().to_numpy() - shards.FIRST_CODE)
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.2)  # Zipf: the 10th is a tenth of the first
