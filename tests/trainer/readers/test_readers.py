"""Every reader: the same rows in the same order, and the same refusals."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import ContractError
from schemas.manifest import join
from schemas.shards import KIND, SHARDS, read_shard_set
from tests.published import publish_again
from tests.trainer.core.input.batches import patients_of
from tests.trainer.shard_files import (
    Patient,
    example,
    framed,
    random_patients,
    write_parquet,
    write_split,
    write_tfrecord,
)
from trainer.readers import FILE_FORMATS, open_reader

READERS = sorted(FILE_FORMATS)
EACH_READER = pytest.mark.parametrize("reader", READERS)


def split(uri, parts, **kwargs):
    write_split(uri, parts, vocabulary_fingerprint="f" * 64, **kwargs)
    return uri


def rows(patients):
    return [(p.token_ids, p.visit_numbers, p.prolonged_los) for p in patients]


@EACH_READER
def test_rows_are_those_written_in_their_order(tmp_path, reader):
    patients = random_patients(70)
    parts = [patients[:33], [], patients[33:34], patients[34:]]
    opened = open_reader(reader, split(str(tmp_path / "train"), parts))
    assert opened.shard_rows == [33, 0, 1, 36]
    first_row = 0
    for number, part in enumerate(parts):
        batch = opened.read(number)
        assert [p[:3] for p in patients_of(batch)] == rows(part)
        assert batch.row_numbers.tolist() == list(range(first_row, first_row + len(part)))
        assert batch.token_ids.dtype == batch.visit_numbers.dtype == batch.prolonged_los.dtype == np.int32
        assert batch.offsets.dtype == batch.row_numbers.dtype == np.int64
        first_row += len(part)


@EACH_READER
def test_large_ids_and_long_patients(tmp_path, reader):
    patients = [
        Patient(list(range(80_000, 82_603)), list(range(1, 2604)), 1),
        Patient([127, 128, 16384], [1, 1, 1], 0),
    ]
    opened = open_reader(reader, split(str(tmp_path / "train"), [patients], vocabulary_size=82_603))
    assert [p[:3] for p in patients_of(opened.read(0))] == rows(patients)


@EACH_READER
def test_a_truncated_shard_is_refused_by_name_when_opened(tmp_path, reader):
    uri = split(str(tmp_path / "train"), [random_patients(20), random_patients(20, seed=1)])
    name = f"part-00001.{FILE_FORMATS[reader]}"
    os.truncate(join(uri, name), os.path.getsize(join(uri, name)) - 3)
    with pytest.raises(ContractError, match=name):
        open_reader(reader, uri)


def truncate(data):
    return data[: len(data) // 2]


def empty(data):
    return b""


def flip(data):
    middle = len(data) // 3
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


@EACH_READER
@pytest.mark.parametrize("damage", [truncate, empty, flip])
def test_a_shard_damaged_later_is_refused_by_name_when_read(tmp_path, reader, damage):
    uri = split(str(tmp_path / "train"), [random_patients(50), random_patients(50, seed=1)])
    opened = open_reader(reader, uri)
    name = f"part-00001.{FILE_FORMATS[reader]}"
    with open(join(uri, name), "rb") as stream:
        damaged = damage(stream.read())
    with open(join(uri, name), "wb") as stream:
        stream.write(damaged)
    opened.read(0)
    with pytest.raises(ContractError, match=name):
        opened.read(1)


@EACH_READER
def test_a_missing_shard_is_refused_by_name(tmp_path, reader):
    uri = split(str(tmp_path / "train"), [random_patients(20)])
    opened = open_reader(reader, uri)
    os.remove(join(uri, f"part-00000.{FILE_FORMATS[reader]}"))
    with pytest.raises(ContractError, match="part-00000"):
        opened.read(0)


@EACH_READER
@pytest.mark.parametrize(
    ("patient", "rule"),
    [
        (Patient([5, 44], [1, 1], 0), "outside its vocabulary of 44"),
        (Patient([5, 6], [1], 0), "unequal numbers"),
        (Patient([5, 6], [0, 1], 0), "visit number below 1"),
        (Patient([5, 6], [1, 1], 2), "neither 0 nor 1"),
        (Patient([], [], 0), "without codes"),
    ],
)
def test_rows_that_break_the_contract(tmp_path, reader, patient, rule):
    if reader == "tfrecord" and not patient.token_ids:
        rule = "no shard rows|without codes"
    opened = open_reader(reader, split(str(tmp_path / "train"), [[*random_patients(3), patient]]))
    with pytest.raises(ContractError, match=rule):
        opened.read(0)


@EACH_READER
def test_other_rows_than_the_manifest_says(tmp_path, reader):
    uri = split(str(tmp_path / "train"), [random_patients(20)])
    other = split(str(tmp_path / "other"), [random_patients(21)])
    name = f"part-00000.{FILE_FORMATS[reader]}"
    shutil.copy(join(other, name), join(uri, name))
    with pytest.raises(ContractError, match=name):
        open_reader(reader, uri)
    publish_again(uri, KIND, name)
    opened = open_reader(reader, uri)
    with pytest.raises(ContractError, match="has 21 rows, its manifest says 20"):
        opened.read(0)


@EACH_READER
def test_a_format_that_was_not_written(tmp_path, reader):
    other = {"parquet": "tfrecord", "tfrecord": "parquet"}[FILE_FORMATS[reader]]
    uri = split(str(tmp_path / "train"), [random_patients(2)], formats=(other,))
    with pytest.raises(ContractError, match=f"no {FILE_FORMATS[reader]} files"):
        open_reader(reader, uri)


@pytest.mark.parametrize("reader", ["arrow", "petastorm"])
@pytest.mark.parametrize(
    ("name", "column", "rule"),
    [
        ("token_ids", pa.array([[1, 2]], pa.list_(pa.int64())), "token_ids is array<int64>"),
        ("visit_numbers", None, "no column visit_numbers"),
        ("prolonged_los", pa.array([True]), "prolonged_los is bool"),
        ("prolonged_los", pa.array([None], pa.int32()), "null|cannot be read"),
        ("token_ids", pa.array([None], pa.list_(pa.int32())), "null|cannot be read"),
        ("token_ids", pa.array([[1, None]], pa.list_(pa.int32())), "null|cannot be read"),
    ],
)
def test_other_columns(tmp_path, reader, name, column, rule):
    uri = split(str(tmp_path / "train"), [[Patient([5, 6], [1, 1], 0)]])
    path = join(uri, "part-00000.parquet")
    table = pq.read_table(path).drop_columns([name])
    pq.write_table(table if column is None else table.append_column(name, column), path)
    publish_again(uri, KIND, "part-00000.parquet")
    opened = open_reader(reader, uri)
    with pytest.raises(ContractError, match=rule):
        opened.read(0)


@EACH_READER
def test_reading_says_nothing(tmp_path, caplog, reader):
    opened = open_reader(reader, split(str(tmp_path / "train"), [random_patients(20)]))
    with caplog.at_level("INFO"):
        opened.read(0)
    assert caplog.records == []


@pytest.mark.parametrize("reader", ["arrow", "petastorm"])
def test_more_columns_and_another_order_of_them_are_allowed(tmp_path, reader):
    uri = split(str(tmp_path / "train"), [[Patient([5, 6], [1, 1], 0)]])
    path = join(uri, "part-00000.parquet")
    table = pq.read_table(path)
    table = table.select(table.column_names[::-1]).append_column("more", pa.array(["text"]))
    pq.write_table(table, path)
    publish_again(uri, KIND, "part-00000.parquet")
    opened = open_reader(reader, uri)
    assert [p[:3] for p in patients_of(opened.read(0))] == [([5, 6], [1, 1], 0)]


def test_a_slice_of_a_larger_array_is_read_from_its_own_start():
    from trainer.readers.arrow import _flat_lists

    array = pa.array([[1], [2, 3], [4], [5, 6]], pa.list_(pa.int32()))
    table = pa.table({"token_ids": pa.chunked_array([array.slice(1, 2), array.slice(3)])})
    values, offsets = _flat_lists(table, "token_ids")
    assert values.tolist() == [2, 3, 4, 5, 6]
    assert offsets.tolist() == [0, 2, 3, 5]


def test_tfrecord_features_in_any_order_and_more_of_them(tmp_path):
    patients = random_patients(5)
    uri = split(str(tmp_path / "train"), [patients])
    backwards = [dict(reversed(vars(p).items())) for p in patients]
    with_more = [{"prolonged_los": p.prolonged_los, "more": [1, 2], **vars(p)} for p in patients]
    for features in (backwards, with_more, backwards[:2] + with_more[2:]):
        with open(join(uri, "part-00000.tfrecord"), "wb") as stream:
            stream.writelines(framed(example(one)) for one in features)
        publish_again(uri, KIND, "part-00000.tfrecord")
        opened = open_reader("tfrecord", uri)
        assert [p[:3] for p in patients_of(opened.read(0))] == rows(patients)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x0a",
        b"\x0a\x05abc",
        b"\x12\x00",
        b"\xff" * 40,
        example({"token_ids": [1], "visit_numbers": [1]}),
        example({"token_ids": [1], "visit_numbers": [1], "prolonged_los": [1, 1]}),
        example({"token_ids": [2**40], "visit_numbers": [1], "prolonged_los": 1}),
        example({"token_ids": [1], "visit_numbers": [1], "prolonged_los": 1})[:-1],
        example({"token_ids": [1], "visit_numbers": [1], "prolonged_los": 1}) + b"\x12\x00",
    ],
)
def test_tfrecord_payloads_that_are_no_rows(tmp_path, payload):
    uri = split(str(tmp_path / "train"), [random_patients(2)])
    with open(join(uri, "part-00000.tfrecord"), "ab") as stream:
        stream.write(framed(payload))
    publish_again(uri, KIND, "part-00000.tfrecord")
    opened = open_reader("tfrecord", uri)
    with pytest.raises(ContractError, match=r"part-00000\.tfrecord"):
        opened.read(0)


@EACH_READER
def test_another_shard_of_the_same_size_is_refused(tmp_path, reader):
    """Its checksums are right, and its rows are those of a shard."""
    patients = random_patients(20)
    uri = split(str(tmp_path / "train"), [patients])
    opened = open_reader(reader, uri)
    changed = [replace(patients[0], token_ids=[*patients[0].token_ids[1:], 5]), *patients[1:]]
    name = f"part-00000.{FILE_FORMATS[reader]}"
    (write_tfrecord if reader == "tfrecord" else write_parquet)(join(uri, name), changed)
    with pytest.raises(ContractError, match=f"{name} is not the file that was published"):
        opened.read(0)


def test_the_tests_own_writer_gives_a_contract_file(tmp_path):
    uri = split(str(tmp_path / "train"), [random_patients(2)])
    assert read_shard_set(uri, "parquet", verify=True).num_patients == 2
    assert pq.read_schema(join(uri, "part-00000.parquet")).names == list(SHARDS.column_names)
    write_tfrecord(str(tmp_path / "empty"), [])
    assert os.path.getsize(tmp_path / "empty") == 0
