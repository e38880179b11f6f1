"""`python -m conversion embed`: vectors of patients and codes, to Parquet."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from conversion.bundle import staged_folder
from conversion.model_folder import WORDS, ModelFolder, open_model
from conversion.patients.encoders import Encoder, OnnxEncoder, Pooling, TorchEncoder
from conversion.patients.patient_blocks import blocks_for
from conversion.patients.patient_files import PatientFile, Patients, open_patients
from conversion.patients.same_ids import check_same_ids
from schemas.access import make_private, settle_access
from schemas.embeddings import CODES, CODES_FILE, EMBEDDING, KIND, PATIENTS, patients_name
from schemas.errors import ContractError
from schemas.manifest import Manifest, describe_file, publish_manifest, read_manifest
from schemas.onnx_model import KIND as ONNX_KIND
from schemas.parquet import WRITE_OPTIONS
from schemas.sequences import SPLITS
from schemas.small_cells import in_words

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """One folder of vectors."""

    model: str
    """The local model folder."""
    patients: str
    """A sequences folder, or one split's shards (Parquet)."""
    vocabulary: str
    """The vocabulary folder that they were written with: its ids must be the model's."""
    output: str
    """The folder to write; an older one of embeddings there is replaced."""
    splits: list[str] = field(default_factory=lambda: list(SPLITS))
    """Of sequences: which splits."""
    pooling: Pooling = "mean"
    """A patient's vector: the mean of the encoder's output over its codes, or that of the first code."""
    device: str = "cpu"
    """Where PyTorch runs: cpu, cuda, cuda:1, …"""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """What PyTorch computes in; the vectors are float32."""
    onnx: str | None = None
    """An ONNX folder of the same model, to run with onnxruntime on the CPU in place of PyTorch."""
    threads: int | None = None
    """Of the CPU; by default what the runtime takes, which is all cores."""
    slots: int = 2048
    """Codes and padding of one pass at most; on a GPU many more."""
    shared_group: str | None = None
    """A group of this machine whose members may read the output; without it, its owner alone."""


def embed(config: EmbedConfig) -> dict[str, Any]:
    """Encode every patient, write, publish; returns the counts. Raises ContractError."""
    model = open_model(config.model)
    source, files = open_patients(config.patients, tuple(config.splits))
    check_same_ids(model, source, config.patients, config.vocabulary)
    num_patients = num_codes = 0
    with staged_folder(config.output, KIND) as staging:
        make_private(staging, config.shared_group)
        encoder = _encoder(config, model)
        started = time.monotonic()
        rows = {CODES_FILE: _write_codes(staging, model)}
        for number, file in enumerate(files):
            name = patients_name(number)
            rows[name], codes = _write_patients(os.path.join(staging, name), model, file, encoder, config)
            num_patients, num_codes = num_patients + rows[name], num_codes + codes
        seconds = time.monotonic() - started
        counts = {"patients": num_patients, "codes": num_codes, "tokens": rows[CODES_FILE]}
        manifest = Manifest(
            kind=KIND,
            parameters={
                "pooling": config.pooling,
                "precision": config.precision,
                "runtime": "onnxruntime" if config.onnx else "torch",
            },
            inputs={"model": model.manifest.fingerprint, source.kind: source.fingerprint},
            files=tuple(describe_file(staging, name, count) for name, count in rows.items()),
            counts=counts,
            details={"hidden_size": model.config.hidden_size, "source": source.kind},
        )
        publish_manifest(staging, manifest)
        settle_access(staging)
    _log.info("%s: vectors of %s patients, %.1f s", config.output, in_words(num_patients), seconds)
    return {**counts, "seconds": round(seconds, 2)}


def _encoder(config: EmbedConfig, model: ModelFolder) -> Encoder:
    if config.onnx is None:
        return TorchEncoder(config.model, config.device, config.precision, config.threads, config.pooling)
    of_model = read_manifest(config.onnx, ONNX_KIND, verify=True).inputs["model"]
    if of_model != model.manifest.fingerprint:
        raise ContractError(
            f"{config.onnx} was exported from another model than {config.model}",
            "both are one model",
            "export it again (python -m conversion export-onnx)",
        )
    return OnnxEncoder(config.onnx, config.threads, config.pooling)


def encode_all(
    patients: Patients, model: ModelFolder, encoder: Encoder, slots: int
) -> tuple[np.ndarray, np.ndarray]:
    """(P, H) float32 vectors and (P,) the number of codes each is of. Raises ContractError."""
    vectors = np.zeros((len(patients), model.config.hidden_size), np.float32)
    num_codes = np.zeros(len(patients), np.int32)
    for block in blocks_for(model, patients, slots):
        vectors[block.rows] = encoder.encode(block)
        num_codes[block.rows] = block.lengths
    return vectors, num_codes


def _write_codes(folder: str, model: ModelFolder) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = model.read_arrays()[WORDS][: len(model.tokens)]
    columns = [pa.array(range(len(rows)), pa.int32()), pa.array(model.tokens), _lists(rows)]
    pq.write_table(pa.table(columns, schema=CODES.arrow), os.path.join(folder, CODES_FILE), **WRITE_OPTIONS)
    return len(rows)


def _write_patients(
    path: str, model: ModelFolder, file: PatientFile, encoder: Encoder, config: EmbedConfig
) -> tuple[int, int]:
    """Patients and codes written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    num_patients = total_codes = 0
    with pq.ParquetWriter(path, PATIENTS.arrow, **WRITE_OPTIONS) as writer:
        for patients in file.read():
            vectors, num_codes = encode_all(patients, model, encoder, config.slots)
            columns = {
                "patient_id": pa.array(patients.patient_ids or [None] * len(patients), pa.string()),
                "split": pa.array([file.split] * len(patients), pa.string()),
                "num_codes": num_codes,
                EMBEDDING: _lists(vectors),
            }
            writer.write_table(pa.table(columns, schema=PATIENTS.arrow))
            num_patients, total_codes = num_patients + len(patients), total_codes + int(num_codes.sum())
    return num_patients, total_codes


def _lists(rows: np.ndarray) -> Any:
    """(N, H) → an Arrow column of lists."""
    import pyarrow as pa

    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(offsets, pa.array(rows.ravel(), pa.float32()))
