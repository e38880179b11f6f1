"""Rows that travel as pieces arrive whole, each where its partition is."""

import numpy as np
import pyarrow as pa
import pytest

from spark_jobs.transforms.layout import by_patient, partitions_of
from spark_jobs.transforms.scattering import PIECES_DDL, gather, scatter, shuffled

PATIENTS = [*(f"p{n % 70}" for n in range(300)), *[""] * 40, "ümläut", "\u3000"]
VISITS = [None if n % 5 == 0 else f"v{n}" for n in range(len(PATIENTS))]


def _rows() -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {"n": pa.array(range(len(PATIENTS))), "patient": PATIENTS, "visit": pa.array(VISITS, pa.string())}
    )


def test_pieces_hold_every_row_once_by_partition():
    rows = _rows()
    partition = partitions_of(rows["patient"], rows["visit"], 7)
    pieces = list(scatter(rows, partition))
    numbers = [piece["partition"][0].as_py() for piece in pieces]
    assert numbers == sorted(set(partition.tolist()))
    for number, piece in zip(numbers, pieces, strict=True):
        expected = rows.take(pa.array(np.flatnonzero(partition == number)))
        assert gather(iter([piece])).equals(expected)
    assert sorted(gather(iter(pieces))["n"].to_pylist()) == list(range(len(PATIENTS)))


def test_no_pieces_are_no_rows():
    assert list(scatter(_rows().slice(0, 0), np.empty(0, np.int64))) == []
    assert gather(iter([])) is None


@pytest.mark.spark
def test_a_patients_partition_is_the_same_for_a_dataframe_and_for_pieces(spark):
    rows = _rows()
    num_partitions = 5

    def send(_):
        yield from scatter(rows, partitions_of(rows["patient"], rows["visit"], num_partitions))

    def unpack(pieces):
        found = gather(pieces)
        if found is not None:
            yield found

    pieces = spark.range(0, 1, 1, 1).mapInArrow(send, PIECES_DDL)
    unpacked = shuffled(pieces, num_partitions).mapInArrow(unpack, "n long, patient string, visit string")
    frame = by_patient(
        spark.createDataFrame(pa.Table.from_batches([rows])), num_partitions, "patient", "visit"
    )
    where = [
        {row.n: number for number, found in enumerate(one.rdd.glom().collect()) for row in found}
        for one in (unpacked, frame)
    ]
    assert where[0] == where[1]
    assert len(where[0]) == len(PATIENTS)
    of_nobody = {where[0][n] for n, patient in enumerate(PATIENTS) if not patient}
    assert len(of_nobody) == num_partitions


@pytest.mark.spark
def test_within_a_partition_rows_of_a_dataframe_come_in_order_of_patients(spark):
    frame = by_patient(spark.createDataFrame(pa.Table.from_batches([_rows()])), 3, "patient", "visit")
    for found in frame.rdd.glom().collect():
        patients = [row.patient for row in found]
        assert patients == sorted(patients, key=str.encode)
