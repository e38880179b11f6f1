"""Old and new sequences as one file's patients, without Spark."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import ContractError
from schemas.manifest import describe_file
from schemas.sequences import SEQUENCES
from spark_jobs.files.listed_tables import ListedFile
from spark_jobs.files.sequence_files import SequenceFile
from spark_jobs.growth.merge_sequences import OldFiles, merged
from spark_jobs.transforms.layout import partitions_of_patients


def table(patients, token: int) -> pa.Table:
    """A patient a row, whose one code tells the table."""
    lists = {
        name: pa.array([[token]] * len(patients), pa.list_(pa.int32())) for name in SEQUENCES.column_names
    }
    columns = lists | {"patient_id": pa.array(patients, pa.string())}
    columns["prolonged_los"] = pa.array([False] * len(patients), pa.bool_())
    return pa.table(columns).cast(SEQUENCES.arrow)


def files(folder, *paths) -> dict[str, SequenceFile]:
    return {
        path: SequenceFile(ListedFile(str(folder), "the sequences", describe_file(str(folder), path, 1)))
        for path in paths
    }


@pytest.mark.parametrize("seed", range(5))
def test_patients_who_changed_are_replaced_added_or_gone_and_all_are_in_order(seed):
    chance = random.Random(seed)
    names = [f"{n}é" if n % 3 else f"{n}" for n in range(60)]
    old, new = (sorted(chance.sample(names, chance.choice([0, 1, 30]))) for _ in range(2))
    changed = {*new, *chance.sample(names, 5)}
    expected = {patient: 1 for patient in old if patient not in changed} | dict.fromkeys(new, 2)
    found = merged(table(old, 1), table(new, 2), changed)
    rows = [(row["patient_id"], row["token_ids"]) for row in found.to_pylist()]
    assert rows == [(patient, [expected[patient]]) for patient in sorted(expected)]
    by_arrow = found.sort_by("patient_id")["patient_id"]
    assert found["patient_id"].to_pylist() == by_arrow.to_pylist()


def test_a_file_without_a_column_is_refused(tmp_path):
    (tmp_path / "split=train").mkdir()
    path = "split=train/part-00000.parquet"
    pq.write_table(table(["1"], 1).drop_columns("visit_numbers"), tmp_path / path)
    old = OldFiles("the sequences", files(tmp_path, path), 1)
    with pytest.raises(ContractError, match=r"part-00000.parquet .*visit_numbers"):
        old.read("split=train", 0)


def test_a_file_of_another_part_is_refused(tmp_path):
    patients = [str(n) for n in range(50)]
    parts = partitions_of_patients(pa.array(patients), 2)
    of_one = [patient for patient, part in zip(patients, parts, strict=True) if part == 1]
    paths = ("split=train/part-00000.parquet", "split=train/part-00001.parquet")
    (tmp_path / "split=train").mkdir()
    for path in paths:
        pq.write_table(table(of_one, 1), tmp_path / path)
    old = OldFiles("the sequences", files(tmp_path, *paths), 2)
    assert old.read("split=train", 1)["patient_id"].to_pylist() == of_one
    assert old.read("split=test", 1).num_rows == 0
    with pytest.raises(ContractError, match=r"part-00000.parquet in the sequences .* another part"):
        old.read("split=train", 0)
