import pytest

from schemas.errors import ContractError
from schemas.manifest import Manifest, describe_file, publish_manifest
from schemas.shards import KIND, part_name, read_shard_set, shard_details

DETAILS = shard_details(
    vocabulary_fingerprint="ab",
    vocabulary_size=30,
    special_tokens={"pad": 0, "unk": 1, "cls": 2, "mask": 3},
    num_codes=11,
    max_visits=2,
    length_histogram={10: 1, 1: 1},
)


def _publish(folder, names):
    for name in names:
        (folder / name).write_bytes(b"x")
    files = tuple(describe_file(str(folder), name, rows=1) for name in names)
    publish_manifest(str(folder), Manifest(KIND, files=files, details=DETAILS))


def test_one_format_of_a_split(tmp_path):
    _publish(tmp_path, [part_name(number, kind) for kind in ("parquet", "tfrecord") for number in (1, 0)])
    shards = read_shard_set(str(tmp_path), "tfrecord")
    assert [file.path for file in shards.files] == ["part-00000.tfrecord", "part-00001.tfrecord"]
    assert shards.num_patients == 2
    assert shards.length_histogram == {1: 1, 10: 1}


def test_a_format_that_was_not_written_is_refused(tmp_path):
    _publish(tmp_path, [part_name(0, "parquet")])
    with pytest.raises(ContractError, match="has no tfrecord files"):
        read_shard_set(str(tmp_path), "tfrecord")


def test_an_empty_split_is_no_error(tmp_path):
    _publish(tmp_path, [])
    assert read_shard_set(str(tmp_path), "parquet").num_patients == 0
