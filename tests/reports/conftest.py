"""A small run made of manifests alone, as the stages would leave it; nothing is trained."""

import json
import math
from dataclasses import dataclass, field
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas import (
    checkpoint,
    claims,
    diagnoses,
    learned_codes,
    model,
    sequences,
    shards,
    training_log,
    vocabulary,
)
from schemas.manifest import Manifest, describe_file, join, publish_manifest
from schemas.model_config import BertConfig

STAGES = ("claims", "ingest", "vocabulary", "sequences", "shards", "pretrain", "convert")
CODES = {"ICD10CM//I10": 7000, "ICD9CM//401.9": 4100, "ICD10CM//E11.9": 3000, "ICD10CM//C25.0": 12}
LENGTHS = {"train": {4: 1000, 15: 8000, 40: 4000, 600: 1000}, "valid": {9: 1950, 70: 50}, "test": {20: 4000}}
STEPS = 400
LEARNED = learned_codes.LearnedCodes(
    STEPS,
    (
        learned_codes.Confusion("ICD9CM//401.9", "ICD10CM//I10", 120, 400),
        learned_codes.Confusion("ICD10CM//C25.0", "ICD10CM//E11.9", 11, 11),
    ),
    (
        learned_codes.Neighbourhood("ICD10CM//I10", (learned_codes.Neighbour("ICD9CM//401.9", 0.81),)),
        learned_codes.Neighbourhood("ICD10CM//E11.9", (learned_codes.Neighbour("ICD10CM//C25.0", -0.1),)),
    ),
)
SPECIAL = vars(vocabulary.STANDARD_SPECIAL_TOKENS)


@dataclass
class FakeRun:
    """Writes the stages of a run, in order. What its numbers are can be changed before they are written."""

    uri: str
    lengths: dict[str, dict[int, int]] = field(default_factory=lambda: dict(LENGTHS))
    """split → codes a patient → patients"""
    diagnoses: int = 400_000
    rejected: dict[str, int] = field(
        default_factory=lambda: {"discharge_before_admit": 600, "code_malformed": 400}
    )
    noted: dict[str, int] = field(default_factory=dict)
    """Diagnoses that ingest used by a rule."""
    lost: int = 0
    """Diagnoses that ingest loses without a word."""
    too_few_codes: int = 950
    """Patients that are left out."""
    largest_error: float = 2.1e-6
    """Of the conversion."""
    fingerprints: dict[str, str] = field(default_factory=dict)

    def write_all(self, *stages: str) -> "FakeRun":
        """Write these stages; all of them by default."""
        for stage in stages or STAGES:
            getattr(self, f"write_{stage}")()
        return self

    def publish(
        self, path: str, kind: str, files: dict[str, bytes | int], inputs: tuple[str, ...], **parts: Any
    ) -> None:
        """A folder with these files: their bytes, or how many rows the manifest says an empty file has."""
        folder = join(self.uri, path)
        entries = []
        for name, content in files.items():
            self.write_file(f"{path}/{name}", b"" if isinstance(content, int) else content)
            entries.append(
                describe_file(folder, name, content if isinstance(content, int) else content.count(b"\n"))
            )
        stated = {name.split("/")[0]: self.fingerprints[name] for name in inputs}
        manifest = Manifest(kind, files=tuple(entries), inputs=stated, **parts)
        publish_manifest(folder, manifest)
        self.fingerprints[path] = manifest.fingerprint

    def write_file(self, path: str, content: bytes) -> None:
        filesystem, target = fsspec.core.url_to_fs(join(self.uri, path))
        filesystem.makedirs(filesystem._parent(target), exist_ok=True)
        filesystem.pipe_file(target, content)

    def write_claims(self) -> None:
        files = {"claims/part-00000.parquet": 90_000, "patients/part-00000.parquet": 21_000}
        self.publish("claims", claims.KIND, files, ())

    def write_ingest(self) -> None:
        num_rejected = sum(self.rejected.values())
        num_out = self.diagnoses - num_rejected - self.lost
        counts = {"rows_in": self.diagnoses, "rows_out": num_out, "rows_rejected": num_rejected}
        counts |= {"claims_in": 90_000, "rejected": self.rejected} | self.noted
        source = {"source": "claims"}
        files = {"part-00000.parquet": num_rejected}
        self.publish("diagnoses_rejected", diagnoses.REJECTED_KIND, files, ("claims",), parameters=source)
        files = {"part-00000.parquet": num_out}
        self.publish("diagnoses", diagnoses.KIND, files, ("claims",), parameters=source, counts=counts)
        self.diagnoses = num_out

    def write_vocabulary(self) -> None:
        tokens = [*vocabulary.SPECIAL_TOKENS, *CODES]
        patients = [*[0] * len(SPECIAL), *CODES.values()]
        columns = [range(len(tokens)), tokens, patients, patients]
        stream = pa.BufferOutputStream()
        pq.write_table(pa.table(list(map(list, columns)), schema=vocabulary.VOCABULARY.arrow), stream)
        files = {
            vocabulary.VOCAB_FILE: "".join(f"{token}\n" for token in tokens).encode(),
            vocabulary.TABLE_FILE: stream.getvalue().to_pybytes(),
        }
        counts = {
            "rows_in": self.diagnoses,
            "rows_of_training_split": sum(CODES.values()) + 30,
            "codes": len(CODES),
            "codes_dropped": 6,
            "rows_of_codes_dropped": 30,
        }
        details = {"special_tokens": SPECIAL, "min_patients": 11}
        self.publish("vocabulary", vocabulary.KIND, files, ("diagnoses",), counts=counts, details=details)

    def write_sequences(self) -> None:
        patients = {split: sum(lengths.values()) for split, lengths in self.lengths.items()}
        counts = {
            "rows_in": self.diagnoses,
            "rows_of_unknown_codes": self.diagnoses // 100,
            "patients_in": sum(patients.values()) + self.too_few_codes,
            "patients_with_too_few_codes": self.too_few_codes,
            "visits": 164_000,
            "codes": sum(map(num_codes, self.lengths.values())),
            "patients": patients,
        }
        files = {f"split={split}/part-00000.parquet": number for split, number in patients.items()}
        self.publish("sequences", sequences.KIND, files, ("diagnoses", "vocabulary"), counts=counts)

    def write_shards(self) -> None:
        for split, lengths in self.lengths.items():
            details = shards.shard_details(
                vocabulary_fingerprint=self.fingerprints["vocabulary"],
                vocabulary_size=len(SPECIAL) + len(CODES),
                special_tokens=SPECIAL,
                num_codes=num_codes(lengths),
                max_visits=40,
                length_histogram=lengths,
            )
            files = {
                shards.part_name(0, file_format): sum(lengths.values()) for file_format in shards.FORMATS
            }
            self.publish(f"shards/{split}", shards.KIND, files, ("sequences", "vocabulary"), details=details)

    def write_pretrain(self) -> None:
        log = "".join(json.dumps(line) + "\n" for line in metrics(sum(self.lengths["train"].values())))
        self.write_file(f"pretrain/{training_log.METRICS_FILE}", log.encode())
        self.write_file(f"pretrain/{learned_codes.LEARNED_CODES_FILE}", LEARNED.to_json().encode())
        options = {
            "data": {"shards": "/somewhere/shards", "max_seq_length": 512},
            "backend": "torch",
            "seed": 7,
        }
        self.write_file(f"pretrain/{training_log.CONFIG_FILE}", json.dumps(options).encode())
        folder = f"pretrain/{checkpoint.CHECKPOINTS_FOLDER}/{checkpoint.folder_name(STEPS)}"
        files = {
            checkpoint.CONFIG_FILE: BertConfig(vocab_size=8).to_json().encode(),
            vocabulary.VOCAB_FILE: "".join(f"{n}\n" for n in range(8)).encode(),
        }
        details = {"step": STEPS, "backend": "torch", "special_tokens": SPECIAL}
        details["vocabulary_fingerprint"] = self.fingerprints["vocabulary"]
        self.publish(folder, checkpoint.KIND, files, ("vocabulary", "shards/train"), details=details)
        self.fingerprints["checkpoint"] = self.fingerprints[folder]

    def write_convert(self) -> None:
        outputs = ["embeddings", *(f"layer_{n}" for n in range(6)), "sequence_output", "pooled_output"]
        outputs += ["mlm_log_probs", "los_log_probs", "mlm_loss", "los_loss"]
        errors = {name: self.largest_error * n / 12 for n, name in enumerate(outputs)}
        report = {
            "source": {"name": "step-00000400", "step": STEPS},
            "variables": {"consumed": 110, "ignored": {"optimiser slot": 220}, "values": 1_234_567},
            "vocabulary": {"tokens": 8},
            "verification": {
                "passed": self.largest_error <= 2e-5,
                "limits": dict.fromkeys(outputs, 2e-5),
                "max_abs_error": errors,
                "bfloat16_max_abs_error": dict.fromkeys(outputs, 0.01),
                "erf_gelu_max_abs_difference": {"layer_0": 6e-4},
            },
        }
        self.publish("model", model.KIND, {model.CONFIG_FILE: b"{}"}, ("checkpoint", "vocabulary"))
        self.write_file(f"model/{model.REPORT_FILE}", json.dumps(report).encode())

    def write_release(self, auc: float = 0.53, model_fingerprint: str | None = None) -> None:
        found = {"auc": auc, "interval_95": [auc - 0.02, auc + 0.01], "max_auc": 0.55}
        checks = [
            {"name": "small cells", "passed": True, "in_words": "", "found": {}},
            {"name": "membership inference", "passed": auc < 0.54, "in_words": "", "found": found},
        ]
        report = {"model_fingerprint": model_fingerprint or self.fingerprints["model"], "checks": checks}
        self.write_file(f"model/{model.RELEASE_REPORT_FILE}", json.dumps(report).encode())


def num_codes(lengths: dict[int, int]) -> int:
    return sum(length * patients for length, patients in lengths.items())


def metrics(num_patients: int) -> list[dict[str, Any]]:
    """metrics.jsonl of a run that learns as one would wish."""
    start = {"kind": "start", "step": 0, "backend": "torch", "world_size": 2, "batch_size": 32}
    lines: list[dict[str, Any]] = [
        start | {"steps": STEPS, "num_patients": num_patients, "vocabulary_size": 8}
    ]
    for step in range(20, STEPS + 1, 20):
        learned = 1 - math.exp(-step / 120)
        losses = {"mlm_loss": 6 - 2.5 * learned, "los_loss": 0.69 - 0.3 * learned}
        line = {"kind": "train", "step": step, "epoch": 0, "learning_rate": 1e-4 * step / STEPS} | losses
        line |= {"patients_per_second": 400.0 + step % 60, "input_wait": 0.01, "seconds": step / 6}
        lines.append(line | {"gradient_norm": 2.0 - learned, "slots_filled": 0.93})
        if step % 100 == 0:
            line = {"kind": "eval", "step": step, "patients": 2000, "masked_codes": 6100} | losses
            for k, model_share, frequent, patient in (
                (1, 0.15, 0.04, 0.08),
                (5, 0.35, 0.12, 0.18),
                (10, 0.5, 0.2, 0.22),
            ):
                line[f"top_{k}"] = model_share * learned
                line[f"most_frequent_top_{k}"] = frequent
                line[f"other_visits_top_{k}"] = patient
            lines.append(line | {"los_auc": 0.5 + 0.4 * learned, "los_base_rate": 0.21})
    return lines


@pytest.fixture
def fake_run(tmp_path) -> FakeRun:
    """An empty run folder `demo`, and what fills it."""
    return FakeRun(str(tmp_path / "demo"))


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory) -> FakeRun:
    """A run with every stage, to read only."""
    return FakeRun(str(tmp_path_factory.mktemp("runs") / "demo")).write_all()
