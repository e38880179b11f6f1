"""Tiny random models and their checkpoints. No framework is imported here: each runs in a child."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from conversion import convert
from conversion.bert_map import map_arrays
from conversion.checkpoints.source import Source
from conversion.tokens.vocabulary_source import ModelVocabulary, load_vocabulary
from schemas.applied_maps import code_maps_details
from schemas.bert_names import tensorflow_shapes
from schemas.checkpoint import (
    ADAM_M,
    ADAM_V,
    CONFIG_FILE,
    GLOBAL_STEP,
    KIND,
    TORCH,
    TORCH_MODEL_FILE,
    folder_name,
)
from schemas.manifest import Manifest, describe_file, publish_manifest, read_manifest
from schemas.model import ABOUT_FILES, REPORT_FILE
from schemas.model import KIND as MODEL_KIND
from schemas.model_config import BertConfig
from schemas.sequences import KIND as SEQUENCES_KIND
from schemas.shards import KIND as SHARDS_KIND
from schemas.shards import SHARDS, shard_details
from schemas.vocabulary import KIND as VOCABULARY_KIND
from schemas.vocabulary import (
    SPECIAL_TOKENS,
    STANDARD_SPECIAL_TOKENS,
    TABLE_FILE,
    VOCAB_FILE,
    VOCABULARY,
    extends_details,
    read_vocabulary,
)

HERE = os.path.dirname(os.path.abspath(__file__))
STEP = 7
CODES = [f"ICD10CM//E{number:02d}.9" for number in range(20)]


@pytest.fixture(scope="session")
def source_command():
    """Stands in for `python -m trainer forward`: the tests' own NumPy model."""
    return (sys.executable, f"{HERE}/numpy_bert.py")


@pytest.fixture(scope="session")
def numpy_bert():
    """The module numpy_bert.py."""
    spec = importlib.util.spec_from_file_location("numpy_bert", f"{HERE}/numpy_bert.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def run_python():
    """Run Python code in a process of its own, offline; what it prints last is returned, read as JSON."""

    def run(code, *arguments):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def tiny_config(**changes):
    sizes = {
        "vocab_size": 26,
        "hidden_size": 12,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 10,
        "max_position_embeddings": 16,
        "type_vocab_size": 9,
    }
    return BertConfig(**{**sizes, **changes})


def random_variables(config, seed=0):
    """TensorFlow name → float32 array, large enough that no error hides."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.normal(0, 0.3, shape) + name.endswith("gamma")).astype(np.float32)
        for name, shape in tensorflow_shapes(config).items()
    }


def with_optimizer(variables):
    slots = {f"{name}/{slot}": array for name, array in variables.items() for slot in (ADAM_M, ADAM_V)}
    return {**variables, **slots, GLOBAL_STEP: np.asarray(STEP, np.int64)}


def with_averages(variables, averages):
    """As a loop with mixed precision and moving averages stores them, the slots in a scope of their own."""
    slots = {f"training/{name}/BERTAdam": array for name, array in variables.items()}
    averaged = {f"{name}/ExponentialMovingAverage": array for name, array in averages.items()}
    counters = {
        name: np.asarray(STEP, np.int64) for name in (GLOBAL_STEP, "good_steps", "bad_steps", "accum_steps")
    }
    return {**variables, **slots, **averaged, **counters}


@pytest.fixture(scope="session")
def make_config():
    return tiny_config


@pytest.fixture(scope="session")
def make_variables():
    return random_variables


@pytest.fixture
def config():
    return tiny_config()


@pytest.fixture
def variables(config):
    return random_variables(config)


@pytest.fixture(scope="session")
def tensorflow_checkpoints(tmp_path_factory):
    """Name → prefix of a checkpoint with its bert_config.json beside; one process writes them all."""
    folder = tmp_path_factory.mktemp("tensorflow")
    config = tiny_config()
    good = with_optimizer(random_variables(config))
    odd = with_optimizer(random_variables(config) | {"bert/pooler/dense/bias": np.ones(13, np.float32)})
    odd |= {"bert/encoder/extra/kernel": np.ones((3, 4), np.float32)}
    odd |= {"unknown/adam_m": np.ones(2, np.float32)}
    del odd["cls/predictions/output_bias"]
    odd["bert/embeddings/LayerNorm/beta"] = np.full(12, np.nan, np.float32)
    scoped = {f"{'' if name == GLOBAL_STEP else 'module/'}{name}:0": array for name, array in good.items()}
    stored = {
        "good": good,
        "odd": odd,
        "scoped": scoped,
        "other": with_optimizer(random_variables(config, seed=1)),
        "averaged": with_averages(random_variables(config), random_variables(config, seed=1)),
        "half_averaged": with_averages(
            random_variables(config), {"bert/pooler/dense/bias": np.ones(12, np.float32)}
        ),
    }
    for name, arrays in stored.items():
        np.savez(
            folder / f"{name}.npz",
            **{key.replace("/", "|").replace(":", ";"): array for key, array in arrays.items()},
        )
    subprocess.run(
        [sys.executable, f"{HERE}/write_tf_checkpoints.py", str(folder)], check=True, capture_output=True
    )
    plain = config.to_dict() | {"hidden_act": "gelu"}
    del plain["los_pooling"]
    for name in stored:
        (folder / name / "bert_config.json").write_text(json.dumps(plain))
    return {name: str(folder / name / f"model.ckpt-{STEP}") for name in stored}


@pytest.fixture
def torch_checkpoint(tmp_path):
    """Make a PyTorch checkpoint folder of this trainer, in a run folder; returns the checkpoint's path."""

    def make(max_seq_length=16, code_maps=(), **changes):
        config = tiny_config(trained_pooler=True, **changes)
        arrays = map_arrays(random_variables(config), config, "tensorflow", "transformers", "test").arrays
        folder = tmp_path / "run" / "checkpoints" / folder_name(STEP)
        folder.mkdir(parents=True)
        save_file(arrays, folder / TORCH_MODEL_FILE)
        (folder / CONFIG_FILE).write_text(config.to_json())
        (folder / VOCAB_FILE).write_text("\n".join([*SPECIAL_TOKENS, *CODES]) + "\n")
        details = {
            "step": STEP,
            "backend": TORCH,
            "special_tokens": vars(STANDARD_SPECIAL_TOKENS),
            "vocabulary_fingerprint": "f" * 64,
            "max_seq_length": max_seq_length,
            **code_maps_details(code_maps),
        }
        files = tuple(describe_file(str(folder), name, 0) for name in sorted(os.listdir(folder)))
        publish_manifest(str(folder), Manifest(kind=KIND, files=files, details=details))
        return str(folder)

    return make


@pytest.fixture
def write_model(tmp_path):
    """Write variables (by default of the tiny configuration) as a model folder, unverified."""

    def write(variables, vocabulary=None, los_pooling="first", config=None, max_seq_length=None):
        config = config or tiny_config(los_pooling=los_pooling)
        folder = tempfile.mkdtemp(prefix="written_model", dir=tmp_path)
        source = Source(
            path="model.ckpt-7",
            states_itself=False,
            name="model.ckpt-7",
            prefix="model.ckpt-7",
            naming="tensorflow",
            config=config,
            max_seq_length=max_seq_length or config.max_position_embeddings,
            vocabulary=vocabulary or load_vocabulary(None, config.vocab_size),
            step=STEP,
            fingerprint="0" * 64,
        )
        mapped = map_arrays(variables, config, "tensorflow", "transformers", "test")
        convert.write_model(folder, source, mapped)
        return folder

    return write


@pytest.fixture
def publish_model(write_model):
    """Write variables as a finished model folder over CODES, unverified; returns the folder."""

    def publish(variables, **options):
        vocabulary = ModelVocabulary((*SPECIAL_TOKENS, *CODES), STANDARD_SPECIAL_TOKENS, "test")
        folder = write_model(variables, vocabulary, **options)
        names = sorted(set(os.listdir(folder)) - ABOUT_FILES)
        files = tuple(describe_file(folder, name, 0) for name in names)
        details = {"special_tokens": vars(STANDARD_SPECIAL_TOKENS), "step": STEP}
        publish_manifest(folder, Manifest(kind=MODEL_KIND, files=files, details=details))
        with open(f"{folder}/{REPORT_FILE}", "w") as stream:
            json.dump({"verification": {"passed": True}}, stream)
        return folder

    return publish


@pytest.fixture
def published_model(publish_model, variables):
    """A finished model folder of the tiny configuration."""
    return publish_model(variables)


@pytest.fixture
def write_sequences(tmp_path):
    """Write {split: {patient: (token_ids, visit_numbers)}} as a sequences folder; returns the folder."""

    def write(rows, vocabulary="f" * 64):
        folder, files = tmp_path / "sequences", []
        for split, patients in rows.items():
            (folder / f"split={split}").mkdir(parents=True)
            path = f"split={split}/part-00000.parquet"
            ids, visits = ([row[column] for row in patients.values()] for column in (0, 1))
            columns = {"patient_id": list(patients), "token_ids": ids, "visit_numbers": visits}
            pq.write_table(pa.table(columns), folder / path)
            files.append(describe_file(str(folder), path, len(patients)))
        inputs = {VOCABULARY_KIND: vocabulary}
        publish_manifest(str(folder), Manifest(kind=SEQUENCES_KIND, inputs=inputs, files=tuple(files)))
        return str(folder)

    return write


@pytest.fixture
def write_vocabulary(tmp_path):
    """Write a vocabulary folder of special tokens and codes, {code: patients}; returns the folder.

    extends: the folder of the one that it extends. code_maps: what its manifest states of maps.
    """

    def write(name, patients, extends=None, code_maps=()):
        folder = tmp_path / name
        folder.mkdir()
        tokens = [*SPECIAL_TOKENS, *patients]
        counts = [0] * len(SPECIAL_TOKENS) + list(patients.values())
        columns = {
            "token_id": range(len(tokens)),
            "token": tokens,
            "num_patients": counts,
            "num_occurrences": [2 * count for count in counts],
        }
        pq.write_table(pa.table(columns, schema=VOCABULARY.arrow), folder / TABLE_FILE)
        (folder / VOCAB_FILE).write_text("\n".join(tokens) + "\n")
        files = tuple(describe_file(str(folder), file, len(tokens)) for file in (VOCAB_FILE, TABLE_FILE))
        details = {"special_tokens": vars(STANDARD_SPECIAL_TOKENS), "min_patients": 1}
        details |= code_maps_details(code_maps)
        if extends is not None:
            details |= extends_details(read_manifest(extends, VOCABULARY_KIND), len(read_vocabulary(extends)))
        publish_manifest(str(folder), Manifest(kind=VOCABULARY_KIND, files=files, details=details))
        return str(folder)

    return write


@pytest.fixture
def write_shards(tmp_path):
    """Write four patients' shards (3, 40, 1 and 16 codes) for so many tokens; returns the folder."""

    def write(vocabulary_size, fingerprint="f" * 64, split="valid", token_ids=None):
        folder = tmp_path / "run" / "shards" / split
        folder.mkdir(parents=True)
        rng = np.random.default_rng(0)
        lengths = [3, 40, 1, 16]
        columns = {
            "token_ids": token_ids or [rng.integers(4, 24, length) for length in lengths],
            "visit_numbers": [np.minimum(np.arange(length) + 1, 8) for length in lengths],
            "prolonged_los": [0, 1, 1, 0],
        }
        pq.write_table(pa.table(columns, schema=SHARDS.arrow), folder / "part-00000.parquet")
        details = shard_details(
            vocabulary_fingerprint=fingerprint,
            vocabulary_size=vocabulary_size,
            special_tokens=vars(STANDARD_SPECIAL_TOKENS),
            num_codes=sum(lengths),
            max_visits=max(lengths),
            length_histogram={},
        )
        files = (describe_file(str(folder), "part-00000.parquet", len(lengths)),)
        inputs = {VOCABULARY_KIND: fingerprint}
        publish_manifest(str(folder), Manifest(kind=SHARDS_KIND, inputs=inputs, files=files, details=details))
        return str(folder)

    return write
