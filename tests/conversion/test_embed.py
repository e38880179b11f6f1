"""Vectors of patients, of sequences and shards, against NumPy; the same through the exported encoder."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversion.model_folder import open_model
from conversion.patients.patient_blocks import blocks
from conversion.patients.patient_files import Patients, open_patients
from schemas.embeddings import CODES, KIND, PATIENTS
from schemas.errors import ContractError
from schemas.manifest import read_manifest
from schemas.onnx_model import KIND as ONNX_KIND
from trainer.core.input.batch import RaggedBatch
from trainer.core.input.ragged import cut, take

LENGTHS = {"train": [3, 40, 1, 16], "test": [5, 9]}  # the tiny model takes 16 codes
COMMANDS = """
import json, sys
from conversion.__main__ import main
for arguments in json.loads(sys.argv[1]):
    assert main(arguments) == 0, arguments
print("0")
"""


@pytest.fixture
def vocabulary(write_vocabulary, published_model):
    """The tiny model's own."""
    return write_vocabulary("own", dict.fromkeys(open_model(published_model).codes, 11))


@pytest.fixture
def sequences(write_sequences, vocabulary):
    """A sequences folder of six patients, and their rows by patient id."""
    rng = np.random.default_rng(0)
    rows = {
        split: {
            f"{split}{number}": (
                rng.integers(4, 24, length).tolist(),
                np.minimum(np.arange(length) + 1, 8).tolist(),
            )
            for number, length in enumerate(lengths)
        }
        for split, lengths in LENGTHS.items()
    }
    written_with = read_manifest(vocabulary, "vocabulary").fingerprint
    return write_sequences(rows, written_with), rows["train"] | rows["test"]


def test_vectors_are_those_of_the_model(
    published_model, sequences, vocabulary, variables, config, numpy_bert, run_python, tmp_path
):
    folder, rows = sequences
    outputs = {name: str(tmp_path / name) for name in ("mean", "first", "onnx", "through_onnx")}
    embed = ["embed", "--model", published_model, "--patients", folder, "--vocabulary", vocabulary]
    commands = [
        [*embed, "--output", outputs["mean"], "--slots", "20"],
        [*embed, "--output", outputs["first"], "--pooling", "first", "--splits", "[test]"],
        ["export-onnx", "--model", published_model, "--output", outputs["onnx"]],
        [*embed, "--output", outputs["through_onnx"], "--onnx", outputs["onnx"]],
    ]
    run_python(COMMANDS, json.dumps(commands))

    right = {}
    for name, (token_ids, visits) in rows.items():
        ids, kept = np.asarray(token_ids[-16:])[None], np.asarray(visits[-16:])[None]
        inputs = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": kept - kept[0, 0] + 1,
            "masked_rows": np.zeros(1, int),
            "masked_columns": np.zeros(1, int),
            "masked_labels": np.zeros(1, int),
            "prolonged_los": np.zeros(1, int),
        }
        right[name] = numpy_bert.forward(variables, config.to_dict(), inputs)["sequence_output"][0]
    for output, pool in (("mean", lambda x: x.mean(0)), ("first", lambda x: x[0])):
        manifest = read_manifest(outputs[output], KIND, verify=True)
        table = _patients(outputs[output], manifest)
        assert table.schema.equals(PATIENTS.arrow)
        assert set(table["split"].to_pylist()) == ({"train", "test"} if output == "mean" else {"test"})
        for row in table.to_pylist():
            np.testing.assert_allclose(row["embedding"], pool(right[row["patient_id"]]), atol=2e-5, rtol=0)
            assert row["num_codes"] == len(right[row["patient_id"]])
    codes = pq.read_table(f"{outputs['mean']}/codes.parquet")
    assert codes.schema.equals(CODES.arrow)
    words = variables["bert/embeddings/word_embeddings"]
    np.testing.assert_array_equal(np.asarray(codes["embedding"].to_pylist(), np.float32), words[:24])
    tables = [
        _patients(outputs[name], read_manifest(outputs[name], KIND)) for name in ("mean", "through_onnx")
    ]
    found = [np.asarray(table["embedding"].to_pylist()) for table in tables]
    np.testing.assert_allclose(found[0], found[1], atol=1e-4, rtol=0)
    read_manifest(outputs["onnx"], ONNX_KIND, verify=True)
    with open(f"{outputs['onnx']}/export_report.json") as stream:
        report = json.load(stream)
    assert report["differences"].keys() == report["limits"].keys() == {"sequence_output", "pooled_output"}
    assert all(report["differences"][name] <= limit for name, limit in report["limits"].items())


def _patients(folder, manifest):
    names = [file.path for file in manifest.files if file.path.startswith("patients-")]
    return pa.concat_tables(pq.read_table(f"{folder}/{name}") for name in names)


def test_shards_give_patients_without_ids(write_shards):
    manifest, (file,) = open_patients(write_shards(24))
    (patients,) = file.read()
    assert (len(patients), patients.patient_ids) == (4, None)
    assert manifest.kind == "shards"
    assert [len(part) for part in file.read(rows=3)] == [3, 1]


def test_a_folder_that_has_no_patients_is_refused(vocabulary):
    with pytest.raises(ContractError, match="reads sequences"):
        open_patients(vocabulary)


@settings(max_examples=100, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 12), max_size=12),
    max_codes=st.integers(1, 9),
    max_slots=st.integers(1, 40),
)
def test_blocks_hold_every_patient_once_cut_as_in_training(lengths, max_codes, max_slots):
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    tokens = np.arange(offsets[-1]) + 100
    visits = np.concatenate([np.zeros(0, np.int64), *(np.arange(length) // 2 + 1 for length in lengths)])
    ragged = RaggedBatch(tokens, visits, offsets, np.zeros(len(lengths)), np.zeros(len(lengths)))
    right, _ = cut(take(ragged, np.flatnonzero(lengths)), max_codes)
    found = {}
    for block in blocks(Patients(tokens, visits, offsets), max_codes, -1, max_slots):
        rows, width = block.input_ids.shape
        assert rows == 1 or rows * width <= max_slots
        assert block.lengths.sum() >= 0.9 * rows * width
        for row, length in enumerate(block.lengths):
            assert (block.input_ids[row, length:] == -1).all()
            real = slice(0, length)
            assert block.rows[row] not in found
            found[block.rows[row]] = (block.input_ids[row, real], block.visit_numbers[row, real])
        assert (block.attention_mask == (block.input_ids >= 0)).all()
    order = sorted(found)
    assert order == list(np.flatnonzero(lengths))
    for place, name in enumerate(("token_ids", "visit_numbers")):
        flat = [value for patient in order for value in found[patient][place]]
        assert flat == list(getattr(right, name))
