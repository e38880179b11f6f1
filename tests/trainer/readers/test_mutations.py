"""Shards whose bytes were changed: refused, naming the file, or read as they were written."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.errors import ContractError
from schemas.manifest import join
from schemas.shards import KIND
from tests.mutated_bytes import mutations
from tests.published import publish_again
from tests.trainer.shard_files import random_patients, write_split
from trainer.readers import FILE_FORMATS, open_reader

EACH_READER = pytest.mark.parametrize("reader", sorted(FILE_FORMATS))
NUM_MUTATIONS = 120


@pytest.fixture
def shards(tmp_path):
    uri = str(tmp_path / "train")
    write_split(uri, [random_patients(30)], vocabulary_fingerprint="f" * 64)
    return uri


def write(path, content):
    with open(path, "wb") as stream:
        stream.write(content)


def read(path):
    with open(path, "rb") as stream:
        return stream.read()


@EACH_READER
def test_what_changed_after_it_was_written_is_refused(shards, reader):
    """Before the shards are opened, and between two reads of them."""
    name = f"part-00000.{FILE_FORMATS[reader]}"
    path = join(shards, name)
    original = read(path)
    opened = open_reader(reader, shards)
    first = opened.read(0)
    refused = 0
    for content in mutations(original, NUM_MUTATIONS):
        write(path, content)
        for reading in (lambda: open_reader(reader, shards).read(0), lambda: opened.read(0)):
            if content == original:
                np.testing.assert_array_equal(reading().token_ids, first.token_ids)
                continue
            with pytest.raises(ContractError, match=f"{name} is not the file that was published"):
                reading()
            refused += 1
    assert refused > 1.5 * NUM_MUTATIONS


@EACH_READER
def test_what_was_published_broken_is_refused_or_keeps_the_contract(shards, reader):
    """The manifest agrees with the broken file, as if its writer had been at fault."""
    name = f"part-00000.{FILE_FORMATS[reader]}"
    path = join(shards, name)
    original = read(path)
    refused = 0
    for content in mutations(original, NUM_MUTATIONS):
        write(path, content)
        publish_again(shards, KIND, name)
        opened = open_reader(reader, shards)
        try:
            found = opened.read(0)
        except ContractError as error:
            assert name in str(error)
            refused += 1
        else:
            assert found.num_patients == 30
            assert found.token_ids.min() >= 0 and found.token_ids.max() < opened.shards.vocabulary_size
    assert refused > NUM_MUTATIONS / 2
