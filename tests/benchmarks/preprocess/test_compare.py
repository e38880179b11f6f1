"""A planted difference is found; equal rows in another order or layout are none."""

import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.preprocess import compare
from schemas.sequences import SEQUENCES
from schemas.vocabulary import VOCABULARY

DAY = datetime.date(2020, 1, 1)
CODES = ["ICD10CM//A", "ICD10CM//B", "ICD10CM//C"]  # 4, 5, 6 in the vocabulary


def sequence(patient: str, split: str, token_ids: list[int]) -> dict:
    """Two visits, the last code in the second."""
    return {
        "patient_id": patient,
        "token_ids": token_ids,
        "visit_numbers": [1] * (len(token_ids) - 1) + [2],
        "visit_admit_dates": [DAY, DAY + datetime.timedelta(9)],
        "visit_discharge_dates": [DAY, DAY + datetime.timedelta(10)],
        "los_days": [0, 1],
        "days_to_next_visit": [9, 0],
        "prolonged_los": False,
        "split": split,
    }


@pytest.fixture
def rows():
    return [sequence("a", "train", [4, 5, 4]), sequence("b", "train", [6, 6]), sequence("c", "test", [4, 6])]


@pytest.fixture
def ours(tmp_path, rows):
    """The folder of the project's layout."""
    for split in ("train", "test"):
        folder = tmp_path / "sequences" / f"split={split}"
        folder.mkdir(parents=True)
        mine = [{name: row[name] for name in SEQUENCES.column_names} for row in rows if row["split"] == split]
        pq.write_table(pa.Table.from_pylist(mine, SEQUENCES.arrow), folder / "part.parquet")
    return str(tmp_path / "sequences")


@pytest.fixture
def vocabulary(tmp_path):
    folder = tmp_path / "vocabulary"
    folder.mkdir()
    special = [(number, name, 0, 0) for number, name in enumerate(("[PAD]", "[UNK]", "[CLS]", "[MASK]"))]
    codes = [(number, code, 9 - number, 20) for number, code in enumerate(CODES, 4)]
    columns = [list(column) for column in zip(*special, *codes, strict=True)]
    pq.write_table(pa.Table.from_arrays(columns, schema=VOCABULARY.arrow), folder / "vocabulary.parquet")
    return str(folder)


def differing_sequences(ours, tmp_path, rows):
    schema = SEQUENCES.arrow.append(pa.field("split", pa.string()))
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "theirs.parquet")
    return compare.sequences_that_differ(ours, str(tmp_path / "theirs.parquet"))


def test_sequences(ours, tmp_path, rows):
    assert differing_sequences(ours, tmp_path, rows[::-1]) == 0
    assert differing_sequences(ours, tmp_path, rows[1:]) == 1
    assert differing_sequences(ours, tmp_path, [rows[0], *rows]) == 1, "a patient who is there twice"
    rows[0]["split"] = "valid"
    assert differing_sequences(ours, tmp_path, rows) == 2, "one on each side"
    rows[2]["los_days"] = [0, 2]
    assert differing_sequences(ours, tmp_path, rows) == 4


def test_vocabularies(vocabulary, tmp_path):
    theirs = pq.read_table(f"{vocabulary}/vocabulary.parquet").slice(4)
    pq.write_table(theirs, tmp_path / "same.parquet")
    assert compare.vocabularies_that_differ(vocabulary, str(tmp_path / "same.parquet")) == 0
    pq.write_table(theirs.slice(1), tmp_path / "fewer.parquet")
    assert compare.vocabularies_that_differ(vocabulary, str(tmp_path / "fewer.parquet")) == 1


def test_rows_of_the_loop(ours, vocabulary, tmp_path, rows):
    """The loop has names of codes, and rare ones that the vocabulary has not."""
    loop = [
        {
            "patient_id": row["patient_id"],
            "codes": ["ICD10CM//RARE", *(CODES[token - 4] for token in row["token_ids"])],
            "visit_numbers": [1, *row["visit_numbers"]],
            "los_days": row["los_days"],
            "days_to_next_visit": row["days_to_next_visit"],
            "prolonged_los": row["prolonged_los"],
        }
        for row in rows
    ]

    def differing(made: list[dict]) -> int:
        pq.write_table(pa.Table.from_pylist(made), tmp_path / "loop.parquet")
        return compare.loop_rows_that_differ(ours, vocabulary, str(tmp_path / "loop.parquet"))

    assert differing(loop) == 0
    loop[0]["codes"][1] = CODES[2]
    assert differing(loop) == 1
    loop[1]["visit_numbers"][-1] = 1
    assert differing(loop) == 2
    loop[2]["prolonged_los"] = True
    assert differing(loop) == 3


def test_first_patients(tmp_path):
    rows = [{"patient_id": patient, "code": "x"} for patient in ("c", "a", "b", "a")]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "part.parquet")
    output = str(tmp_path / "first.sample")
    assert compare.first_patients(str(tmp_path), 2, output) == 2
    assert compare.rows_in(output) == 3
