"""Every kind of input: small good files, what reads them, and what they mean, found without that reader."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import pickle
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from conversion.checkpoints.safetensors_file import read_safetensors, safetensors_bytes
from conversion.folder_content import folder_content
from conversion.model_folder import open_model
from schemas import checkpoint, diagnoses, embeddings, model, sequences, shards, vocabulary
from schemas.applied_maps import AppliedMap, code_maps_details, read_code_maps
from schemas.batches import files_since, live_batches, num_batches, was_read_again
from schemas.bert_names import transformers_shapes
from schemas.checkpoint import open_checkpoint
from schemas.code_maps import parse_gem
from schemas.manifest import MANIFEST_NAME, Manifest, describe_file, publish_manifest, read_manifest
from schemas.medbert_types import PREFIXES, export_types, read_types
from schemas.model_config import BertConfig
from schemas.parquet import open_listed_parquet
from schemas.training_log import METRICS_FILE, read_log
from schemas.vocabulary import STANDARD_SPECIAL_TOKENS, VOCAB_FILE, read_vocabulary
from spark_jobs.code_maps import entries_of, parse_csv, resolved
from spark_jobs.generator.model_file import parse_disease_model
from spark_jobs.sources.claims_map_file import read_claims_map
from tests.fuzz.changes import BINARY, JSON, JSON_LINES, TEXT, YAML, Change
from tests.published import with_fingerprint
from tests.trainer.shard_files import random_patients, write_parquet, write_tfrecord
from trainer.__main__ import make_parser
from trainer.readers import FILE_FORMATS, open_reader

TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[MASK]", *(f"ICD10CM//E{number}.1" for number in range(10, 32)))
CONFIGS = os.path.join(os.path.dirname(__file__), "..", "..", "configs")


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    files: path → content of a good folder. changed: path → how its content is changed. read: the folder →
    what it means to the project. agrees: whether that is what the files say, by other means; None: a change
    must be refused, or mean what the good files mean. seal: states the files as they are now, so that a
    change is one of the writer's and no damage; agrees must then be there.
    """

    name: str
    files: Mapping[str, bytes]
    changed: Mapping[str, tuple[Change, ...]]
    read: Callable[[str], Any]
    agrees: Callable[[Mapping[str, bytes], Any], bool] | None = None
    seal: Callable[[dict[str, bytes]], dict[str, bytes]] | None = None
    share: float = 1.0


def plain_of(value: Any) -> Any:
    """Dataclasses, arrays and tuples as what == compares."""
    if is_dataclass(value) and not isinstance(value, type):
        return {of.name: plain_of(getattr(value, of.name)) for of in fields(value)}
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.shape, value.tobytes()]
    if isinstance(value, dict):
        return {key: plain_of(inner) for key, inner in value.items()}
    return [plain_of(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _one_file(name: str, content: bytes, changed: tuple[Change, ...]) -> dict[str, Any]:
    return {"files": {name: content}, "changed": {name: changed}}


# Med-BERT's vocabulary


def _bare(code: str) -> str:
    """A code without system, dot and case, whichever way it is spelt."""
    for prefix, system in PREFIXES.items():
        code = code.removeprefix(prefix).removeprefix(f"{system}//")
    return code.replace(".", "").strip().upper()


def _types_agree(files: Mapping[str, bytes], found: Any) -> bool:
    spelt = {number: code for code, number in pickle.loads(files["v.types"]).items()}
    return len(spelt) == len(found["tokens"]) and all(
        _bare(token) == _bare(spelt[number]) or token == f"[MERGED_{number}]" or number == 0
        for number, token in enumerate(found["tokens"])
    )


def _types() -> list[Kind]:
    medbert = {"empty_pad": 0, "ICD9_250.00": 1, "ICD10_E11.9": 2, "ICD9_25000": 3, "odd": 4}
    contents = [export_types(TOKENS), *(pickle.dumps(medbert, protocol) for protocol in (0, 2, 4))]
    return [
        Kind(
            ".types",
            **_one_file("v.types", content, BINARY),
            read=lambda folder: plain_of(read_types(f"{folder}/v.types")),
            agrees=_types_agree,
            share=1 / len(contents),
        )
        for content in contents
    ]


# Maps of codes

GEM = b"".join(
    b"%-5s %-7s %s\n" % line
    for line in (
        *((b"0010", b"A000", b"00000"), (b"25000", b"E119", b"10000"), (b"25002", b"NoDx", b"11000")),
        *((b"80602", b"S12000A", b"10111"), (b"80602", b"S14101A", b"10112"), (b"V5867", b"Z794", b"00000")),
    )
)
ROLL_UP = b'from,to\nE11.9,DIA\nICD10CM//I10,HYP\n"E10.9",DIA\nJ18.9,LUNG\n'


def _gunzipped(content: bytes) -> str:
    plain = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    return plain.decode("utf-8-sig")


def _gem_agrees(files: Mapping[str, bytes], found: Any) -> bool:
    lines = [line.split() for line in _gunzipped(files["gem.txt"]).splitlines() if line.strip()]
    said = Counter(
        (source.upper(), None if digits[1] == "1" else target.upper(), digits[0] == "1",
         int(digits[3]) if digits[2] == "1" else 0, int(digits[4]) if digits[2] == "1" else 0)
        for source, target, digits in lines
    )  # fmt: skip
    return said == Counter(
        (_bare(code), entry["target"] and _bare(entry["target"]), *list(entry.values())[1:])
        for code, entries in found.items()
        for entry in entries
    )


def _roll_up_agrees(files: Mapping[str, bytes], found: Any) -> bool:
    lines = [line for line in csv.reader(io.StringIO(_gunzipped(files["map.csv"]), newline="")) if line]
    head, rows = lines[0], lines[1:]
    pairs = {(_bare(row[head.index("from")]), row[head.index("to")].strip()) for row in rows}
    mine = {(_bare(code), target.removeprefix("CCS//")) for code, targets in found for target in targets}
    return {(code, target.removeprefix("CCS//")) for code, target in pairs} == mine


def _read_roll_up(folder: str) -> list[tuple[str, list[str]]]:
    with open(f"{folder}/map.csv", "rb") as stream:
        rows = parse_csv(stream.read(), "map.csv")
    entries = entries_of(rows, "ICD10CM", "CCS", "map.csv")
    assert resolved(entries, "cluster").table.num_rows == len(entries)
    return [(code, [str(entry.target) for entry in of]) for code, of in entries.items()]


def _read_gem(folder: str) -> Any:
    with open(f"{folder}/gem.txt", "rb") as stream:
        entries = parse_gem(stream.read(), "ICD9CM", "ICD10CM", "gem.txt")
    resolved(entries, "cluster")
    return plain_of({code: list(of) for code, of in entries.items()})


def _maps() -> list[Kind]:
    kinds = []
    for name, file, content, read, agrees in (
        ("GEM", "gem.txt", GEM, _read_gem, _gem_agrees),
        ("roll-up table", "map.csv", ROLL_UP, _read_roll_up, _roll_up_agrees),
    ):
        for packed, changes in ((content, TEXT), (gzip.compress(content, mtime=0), BINARY)):
            made = _one_file(file, packed, changes)
            kinds.append(Kind(name, **made, read=read, agrees=agrees, share=0.5))
    return kinds


# YAML


def _scalars(text: str) -> list[str]:
    """Every key and value that stands in a YAML text, as text."""
    return [event.value for event in yaml.parse(text) if isinstance(event, yaml.ScalarEvent)]


def _leaves(value: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if isinstance(value, dict):
        return {at: leaf for key, of in value.items() for at, leaf in _leaves(of, (*path, str(key))).items()}
    if isinstance(value, list):
        return {at: leaf for n, of in enumerate(value) for at, leaf in _leaves(of, (*path, str(n))).items()}
    return {path: value}


def _num_scalars(value: Any) -> int:
    if isinstance(value, dict):
        return sum(1 + _num_scalars(of) for of in value.values())
    return sum(map(_num_scalars, value)) if isinstance(value, list) else 1


def _same(said: str, found: Any) -> bool:
    """Whether a scalar of a file, as it stands there, is a value that was read."""
    if isinstance(found, bool):
        return said.lower() in {True: ("true", "yes", "on"), False: ("false", "no", "off")}[found]
    if found is None:
        return said.lower() in ("", "~", "null", "none")
    if isinstance(found, int | float):
        if said == str(found):  # a whole number beyond a float's precision, too
            return True
        try:
            return float(said) == found or (said.startswith("0x") and int(said, 16) == found)
        except ValueError:
            return said.replace("_", "") == str(found) or said.startswith(("0b", ".inf"))
    return said == found


def _yaml_agrees(file: str) -> Callable[[Mapping[str, bytes], Any], bool]:
    def agrees(files: Mapping[str, bytes], found: Any) -> bool:
        text = files[file].decode("utf-8-sig")
        said = yaml.load(text, Loader=yaml.BaseLoader)
        has_alias = any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text))
        mine = _leaves(found)
        told = has_alias or _num_scalars(said) == len(_scalars(text))
        return told and all(
            path in mine and _same(value, mine[path]) for path, value in _leaves(said).items()
        )

    return agrees


_preset_parser = cache(make_parser)  # it takes longer to make than to use


def _read_preset(folder: str) -> dict[str, Any]:
    from command_line.config_file import parse_options
    from trainer.config import PretrainConfig

    needed = ("--data.shards", "s", "--data.vocabulary", "v", "--output", "o")
    parser = _preset_parser()
    parsed = parser.instantiate(
        parse_options(parser, ["pretrain", "--config", f"{folder}/preset.yaml", *needed])
    )
    options = dict(parsed.pretrain)
    options.pop("config")
    return asdict(PretrainConfig(**options))


SMALL_MODEL = {
    "age_bands": [0, 40],
    "population": {
        "female": 0.5, "age_at_entry": [1, 1], "oldest_entry_age": 90, "observation_years": [4, 9],
    },
    "visits": {
        "utilisation_spread": 0.5, "incidental_per_year": 0.5, "incidental_admission": 0.01,
        "incidental_stay_days": [2, 5], "longest_stay_days": 90, "most_visits": 300,
    },
    "coding": {
        "usual_code": 0.5, "second_code": 0.5, "inpatient_attention": 2, "incidental_per_claim": 1,
        "incidental_zipf": {"exponent": 1, "shift": 10},
    },
    "conditions": {
        "nephropathy": {
            "name": "Kidney disease", "kind": "chronic", "icd9": ["250.40"], "icd10": ["E11.22", "E11.21"],
            "incidence": [1, 20], "only_with": ["diabetes"], "coded": 0.3, "visits_per_year": 1,
            "risks": [{"condition": "diabetes", "multiplier": 2, "after_years": 5}],
            "admission": 0.1, "stay_days": [4, 9],
        },
        "diabetes": {
            "name": "Diabetes", "kind": "chronic", "icd9": ["250.00"], "icd10": ["E11.9"],
            "incidence": {"female": [1, 5], "male": [2, 7]}, "coded": 0.3, "active_years": [3, 9],
            "visits_per_year": 1, "admission": 0.1, "stay_days": [4, 9],
        },
        "infection": {
            "name": "Infection", "kind": "acute", "icd9": ["486"], "icd10": ["J18.9"], "coded": 0.3,
            "follows": [{"condition": "diabetes", "probability": 0.5, "delay_days": [0, 9]}],
            "visits": 1.5, "duration_days": [9, 20], "admission": 0.1, "stay_days": [4, 9],
        },
    },
}  # fmt: skip


def _read_disease_model(folder: str) -> Any:
    from schemas.files import read_text

    text = read_text(f"{folder}/model.yaml", "rule", "remedy")
    found = parse_disease_model(text, "icd_version,code\n9,0010\n10,A000\n", "model.yaml")
    return plain_of(found)


def _disease_model_agrees(files: Mapping[str, bytes], found: Any) -> bool:
    """Of some fields, and that every key of the file stands there once: the reader refuses those unknown."""
    text = files["model.yaml"].decode("utf-8-sig")
    said = yaml.load(text, Loader=yaml.BaseLoader)
    if _num_scalars(said) != len(_scalars(text)) and "*" not in text:
        return False
    sections = [("population", ("female", "oldest_entry_age")), ("visits", ("most_visits",))]
    pairs = [(said[part][name], found[part][name]) for part, names in sections for name in names]
    pairs += list(zip(said["age_bands"], found["age_bands"], strict=True))
    conditions = {condition["key"]: condition for condition in found["conditions"]}
    if set(conditions) != set(said["conditions"]):
        return False
    for key, condition in said["conditions"].items():
        mine = conditions[key]
        pairs += [(condition[name], mine[name]) for name in ("name", "coded", "admission")]
        pairs += zip(condition["stay_days"], mine["stay_days"].values(), strict=True)
        if [code.replace(".", "") for code in condition["icd10"]] != list(mine["icd10"]):
            return False
    return all(_same(value, mine) for value, mine in pairs)


def _yaml_kinds() -> list[Kind]:
    kinds = []
    for name in ("tuva", "uci_diabetes130"):
        with open(f"{CONFIGS}/sources/{name}.yaml", "rb") as stream:
            made = _one_file("map.yaml", stream.read(), YAML)
        kinds.append(
            Kind(
                "column map",
                **made,
                read=lambda folder: plain_of(read_claims_map(f"{folder}/map.yaml")),
                agrees=_yaml_agrees("map.yaml"),
                share=0.5,
            )
        )
    for name in ("demo", "med-bert-2020"):
        with open(f"{CONFIGS}/{name}.yaml", "rb") as stream:
            made = _one_file("preset.yaml", stream.read(), YAML)
        kinds.append(Kind("preset", **made, read=_read_preset, agrees=_yaml_agrees("preset.yaml"), share=0.5))
    made = _one_file("model.yaml", yaml.safe_dump(SMALL_MODEL, sort_keys=False).encode(), YAML)
    kinds.append(Kind("disease model", **made, read=_read_disease_model, agrees=_disease_model_agrees))
    return kinds


# Folders with a manifest


def _published(folder: str, kind: str, files: Mapping[str, bytes], rows: int = 1, **parts: Any) -> None:
    for name, content in files.items():
        os.makedirs(os.path.dirname(f"{folder}/{name}"), exist_ok=True)
        with open(f"{folder}/{name}", "wb") as stream:
            stream.write(content)
    entries = tuple(describe_file(folder, name, rows) for name in files)
    publish_manifest(folder, Manifest(kind, files=entries, **parts))


def content_of(folder: str) -> dict[str, bytes]:
    """Path → content of all files of a folder."""
    found = {}
    for below, _, names in os.walk(folder):
        for name in names:
            with open(f"{below}/{name}", "rb") as stream:
                found[os.path.relpath(f"{below}/{name}", folder)] = stream.read()
    return found


def _sealed(files: dict[str, bytes]) -> dict[str, bytes]:
    """With a manifest that states the files as they are, as if their writer had been at fault."""
    import hashlib

    plain = json.loads(files[MANIFEST_NAME])
    for entry in plain["files"]:
        content = files[entry["path"]]
        entry |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return {**files, MANIFEST_NAME: with_fingerprint(plain).encode()}


def _manifest_sealed(files: dict[str, bytes]) -> dict[str, bytes]:
    """With the right fingerprint, where it is a JSON object still."""
    try:
        plain = json.loads(files[MANIFEST_NAME])
        return {**files, MANIFEST_NAME: with_fingerprint(plain).encode()}
    except (ValueError, AttributeError, RecursionError):
        return files


def _manifest_agrees(files: Mapping[str, bytes], found: Any) -> bool:
    said = json.loads(files[MANIFEST_NAME])
    return json.dumps(said, sort_keys=True) == json.dumps(found, sort_keys=True)


SPECIAL = asdict(STANDARD_SPECIAL_TOKENS)
_MAPS = code_maps_details([AppliedMap("gem", "ICD9CM", "ICD10CM", "first", "a" * 64)])
MANIFESTS: dict[str, dict[str, Any]] = {
    diagnoses.KIND: {
        "counts": {"rows_in": 9, "rejected": {"code_malformed": 2}},
        "details": {
            "batches": [{"input_files": ["a.csv"], "num_partitions": 4}, {"input_files": ["b.csv"]}],
            "earlier": ["a" * 64],
            "layout": {"partitioned_by": "patient_id", "num_partitions": 4, "sorted_by": ["patient_id"]},
            **_MAPS,
        },
    },
    vocabulary.KIND: {
        "parameters": {"split_salt": "s"},
        "details": {
            "special_tokens": SPECIAL,
            "min_patients": 11,
            "extends": [{"fingerprint": "b" * 64, "size": 5}],
        },
    },
    sequences.KIND: {
        "parameters": {"min_codes": 4, "num_partitions": None},
        "counts": {"patients": {"train": 7}},
    },
    shards.KIND: {
        "details": shards.shard_details(
            vocabulary_fingerprint="f" * 64,
            vocabulary_size=44,
            special_tokens=SPECIAL,
            num_codes=9,
            max_visits=3,
            length_histogram={3: 3},
        )
    },
    checkpoint.KIND: {
        "details": {
            "step": 7,
            "backend": "torch",
            "vocabulary_fingerprint": "f" * 64,
            "special_tokens": SPECIAL,
            "max_seq_length": 9,
            **_MAPS,
        }
    },
    embeddings.KIND: {
        "parameters": {"pooling": "mean"},
        "counts": {"patients": 3},
        "details": {"hidden_size": 2},
    },
}


def _read_manifest(kind: str) -> Callable[[str], Any]:
    def read(folder: str) -> Any:
        manifest = read_manifest(folder, kind, verify=True)
        read_code_maps(manifest.details, folder)
        if kind == diagnoses.KIND and "batches" in manifest.details:
            num_batches(manifest), live_batches(manifest), was_read_again(manifest)
            files_since(manifest, "a" * 64)
        if kind == vocabulary.KIND and "special_tokens" in manifest.details:
            vocabulary.size_when(manifest, 9, "b" * 64)
            vocabulary.special_tokens_of(dict(manifest.details), folder)
        if kind == shards.KIND:
            shards.read_shard_set(folder, shards.PARQUET)
        return json.loads(manifest.to_json())

    return read


def _manifest_kinds(scratch: str) -> list[Kind]:
    kinds = []
    for kind, parts in MANIFESTS.items():
        folder = f"{scratch}/manifest-{kind}"
        _published(folder, kind, {"part-00000.parquet": b"abc"}, 3, **parts)
        kinds.append(
            Kind(
                "manifest",
                content_of(folder),
                {MANIFEST_NAME: JSON},
                _read_manifest(kind),
                _manifest_agrees,
                _manifest_sealed,
                share=1 / len(MANIFESTS),
            )
        )
    return kinds


VOCAB_TXT = "".join(f"{token}\n" for token in TOKENS).encode()


def _vocab_txt_agrees(name: str) -> Callable[[Mapping[str, bytes], Any], bool]:
    def agrees(files: Mapping[str, bytes], found: Any) -> bool:
        text = files[name].decode("utf-8-sig")
        return found["tokens"] == [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]

    return agrees


def _parquet_bytes(table: pa.Table) -> bytes:
    stream = pa.BufferOutputStream()
    pq.write_table(table, stream, write_page_checksum=True)
    return stream.getvalue().to_pybytes()


def _vocabulary_kinds(scratch: str) -> list[Kind]:
    from conversion.tokens.vocabulary_source import load_vocabulary

    numbers = list(range(len(TOKENS)))
    columns = zip(vocabulary.VOCABULARY.column_names, (numbers, list(TOKENS), numbers, numbers), strict=True)
    table = pa.table(dict(columns), schema=vocabulary.VOCABULARY.arrow)
    files = {VOCAB_FILE: VOCAB_TXT, vocabulary.TABLE_FILE: _parquet_bytes(table)}
    _published(f"{scratch}/vocabulary", vocabulary.KIND, files, details={"special_tokens": SPECIAL})

    def read(folder: str) -> Any:
        found = plain_of(read_vocabulary(folder))
        manifest = read_manifest(folder, vocabulary.KIND)
        for file in manifest.files:
            if file.path == vocabulary.TABLE_FILE:
                with open_listed_parquet(folder, file) as parquet:
                    found["table"] = parquet.read().to_pydict()
        del found["fingerprint"]
        return found

    return [
        Kind(
            "vocab.txt",
            **_one_file("vocab.txt", VOCAB_TXT, TEXT),
            read=lambda folder: plain_of(load_vocabulary(f"{folder}/vocab.txt", 10**6)),
            agrees=_vocab_txt_agrees("vocab.txt"),
            share=0.5,
        ),
        Kind(
            "vocab.txt",
            content_of(f"{scratch}/vocabulary"),
            {VOCAB_FILE: TEXT, vocabulary.TABLE_FILE: BINARY, MANIFEST_NAME: JSON},
            read,
            share=0.5,
        ),
    ]


# Shards


def _read_shards(reader: str) -> Callable[[str], Any]:
    def read(folder: str) -> Any:
        opened = open_reader(reader, folder)  # type: ignore[arg-type]
        return [plain_of(opened.read(number)) for number in range(len(opened.shards.files))]

    return read


def _parquet_agrees(files: Mapping[str, bytes], found: Any) -> bool:
    """pyarrow's own reading; the row numbers are the reader's."""
    table = pq.read_table(pa.BufferReader(files["part-00000.parquet"]))
    return _batch_of(*(table[name].to_pylist() for name in shards.SHARDS.column_names)) == _columns(found)


def _columns(found: Any) -> list[list[int]]:
    (batch,) = found
    names = (("token_ids", np.int32), ("visit_numbers", np.int32), ("offsets", np.int64))
    columns = [(batch[name][2], kind) for name, kind in (*names, ("prolonged_los", np.int32))]
    return [np.frombuffer(content, kind).tolist() for content, kind in columns]


def _batch_of(tokens: Sequence[list], visits: Sequence[list], prolonged: Sequence[int]) -> list[list[int]]:
    offsets = np.cumsum([0, *map(len, tokens)]).tolist()
    return [list(chain(*tokens)), list(chain(*visits)), offsets, list(prolonged)]


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, low ones first, and where it ends."""
    last = next(n for n in range(at, len(message)) if message[n] < 0x80)
    return sum((byte & 0x7F) << 7 * n for n, byte in enumerate(message[at : last + 1])), last + 1


def _fields_of(message: bytes) -> list[tuple[int, bytes]]:
    """Fields of a message whose fields all have a length."""
    at, found = 0, []
    while at < len(message):
        tag, at = _varint(message, at)
        assert tag & 7 == 2
        length, at = _varint(message, at)
        assert at + length <= len(message)
        found.append((tag >> 3, message[at : at + length]))
        at += length
    return found


def _tfrecord_agrees(files: Mapping[str, bytes], found: Any) -> bool:
    """By protobuf's own varints, record by record."""
    content, at = files["part-00000.tfrecord"], 0
    rows: list[dict[bytes, list[int]]] = []
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        rows.append({})
        ((_, features),) = _fields_of(content[at + 12 : at + 12 + length])
        for _, entry in _fields_of(features):
            (_, name), (_, value) = _fields_of(entry)
            ((_, of_feature),) = _fields_of(value)
            packed = b"".join(values for _, values in _fields_of(of_feature))
            place, numbers = 0, []
            while place < len(packed):
                number, place = _varint(packed, place)
                numbers.append(number)
            rows[-1][name] = numbers
        at += 16 + length
    names = (name.encode() for name in shards.SHARDS.column_names)
    tokens, visits, prolonged = ([row[name] for row in rows] for name in names)
    return _batch_of(tokens, visits, [one for (one,) in prolonged]) == _columns(found)


def change_payload(chance: Any, content: bytes) -> bytes:
    """Of a TFRecord file one record changed, lost, doubled or moved, its checksums right again."""
    from tests.trainer.shard_files import framed

    at, payloads = 0, []
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        payloads.append(content[at + 12 : at + 12 + length])
        at += 16 + length
    one, other = chance.randrange(len(payloads)), chance.randrange(len(payloads))
    kind = chance.randrange(6)
    if kind == 0:
        payloads[one], payloads[other] = payloads[other], payloads[one]
    elif kind == 1:
        payloads[one] = payloads[other]
    elif kind == 2:
        del payloads[one]
    else:
        payloads[one] = BINARY[0](chance, payloads[one])
    return b"".join(map(framed, payloads))


def _shard_kinds(scratch: str) -> list[Kind]:
    patients = random_patients(12, longest=9)
    kinds = []
    for reader, file_format in FILE_FORMATS.items():
        folder = f"{scratch}/{reader}"
        os.makedirs(folder)
        name = shards.part_name(0, file_format)
        (write_parquet if file_format == shards.PARQUET else write_tfrecord)(f"{folder}/{name}", patients)
        parts = MANIFESTS[shards.KIND]
        publish_manifest(
            folder, Manifest(shards.KIND, files=(describe_file(folder, name, len(patients)),), **parts)
        )
        if file_format == shards.TFRECORD:
            changes: tuple[Change, ...] = (*BINARY, change_payload, change_payload)
            agrees, share = _tfrecord_agrees, 1.0
        else:
            # Each read of petastorm starts threads.
            changes, agrees, share = BINARY, _parquet_agrees, 0.8 if reader == "arrow" else 0.2
        kinds.append(
            Kind(
                "TFRecord shard" if file_format == shards.TFRECORD else "Parquet shard",
                content_of(folder),
                {name: changes},
                _read_shards(reader),
                agrees,
                _sealed,
                share,
            )
        )
    return kinds


# Weights and models


def _safetensors_agrees(files: Mapping[str, bytes], found: Any) -> bool:
    """By the format's description: 8 bytes of length, a header in JSON, then the values."""
    content = files["x.safetensors"]
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    kinds = {"F32": "<f4", "I64": "<i8", "F64": "<f8", "I32": "<i4", "F16": "<f2", "U8": "u1", "I8": "i1"}
    said = {}
    for name, of in header.items():
        first, last = of["data_offsets"]
        values = np.frombuffer(content[start + first : start + last], kinds[of["dtype"]])
        said[name] = plain_of(values.reshape(of["shape"]))
    return said == found


CONFIG = BertConfig(
    vocab_size=len(TOKENS),
    hidden_size=4,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=4,
    max_position_embeddings=6,
    type_vocab_size=5,
)


def _read_model(folder: str) -> Any:
    found = open_model(folder)
    report = found.read_report()
    tokens = model.read_model_tokens(folder)
    described = [found.config, found.max_seq_length, found.tokens, found.special, found.code_maps]
    return plain_of([*described, found.read_arrays(), report, found.read_text(model.CARD_FILE), tokens])


def _read_checkpoint(folder: str) -> Any:
    from trainer.core.checkpoints import read_state

    found = plain_of(open_checkpoint(folder, verify=True))
    state = read_state(folder)
    for name in ("uri", "manifest"):
        del found[name]
    return [found, plain_of(state)]


def _weights_kinds(scratch: str) -> list[Kind]:
    from trainer.core.checkpoints import TrainingState
    from trainer.core.input.order import Position

    rng = np.random.default_rng(0)
    arrays = {
        name: rng.normal(size=shape).astype(np.float32) for name, shape in transformers_shapes(CONFIG).items()
    }
    few = {"a": arrays["cls.predictions.bias"], "b": np.arange(6, dtype=np.int64).reshape(2, 3)}
    content = folder_content(CONFIG, 6, TOKENS, STANDARD_SPECIAL_TOKENS)
    content[model.WEIGHTS_FILE] = safetensors_bytes(arrays)
    _published(
        f"{scratch}/model", model.KIND, content, details={"special_tokens": SPECIAL, "step": 7, **_MAPS}
    )
    about = {model.CARD_FILE: b"# A model\n", model.REPORT_FILE: b'{"source": {"name": "x", "step": 7}}\n'}
    state = TrainingState(7, Position.start(0, 900, 1, 8), 1, "f" * 64, 9, 0, {"sums": {}}, {}, 0.5)
    saved = {
        checkpoint.CONFIG_FILE: CONFIG.to_json().encode(),
        VOCAB_FILE: VOCAB_TXT,
        checkpoint.TRAINING_STATE_FILE: json.dumps(state.to_json()).encode(),
    }
    details = {**MANIFESTS[checkpoint.KIND]["details"], "max_seq_length": 6}
    _published(f"{scratch}/checkpoint", checkpoint.KIND, saved, details=details)
    texts = {name: JSON if name.endswith(".json") else TEXT for name in content} | {
        model.WEIGHTS_FILE: BINARY,
        MANIFEST_NAME: JSON,
    }
    return [
        Kind(
            "safetensors",
            **_one_file("x.safetensors", safetensors_bytes(few), BINARY),
            read=lambda folder: plain_of(read_safetensors(f"{folder}/x.safetensors")),
            agrees=_safetensors_agrees,
        ),
        Kind("model folder", content_of(f"{scratch}/model") | about, texts, _read_model),
        Kind(
            "checkpoint folder",
            content_of(f"{scratch}/checkpoint"),
            {name: JSON if name.endswith(".json") else TEXT for name in (*saved, MANIFEST_NAME)},
            _read_checkpoint,
        ),
    ]


# The log of a run


def _log() -> bytes:
    start = {"kind": "start", "step": 0, "backend": "torch", "world_size": 2, "batch_size": 32}
    lines: list[dict[str, Any]] = [start | {"steps": 60, "num_patients": 900, "vocabulary_size": 8}]
    for step in (20, 40, 60):
        line = {"kind": "train", "step": step, "epoch": 0, "learning_rate": 1e-4, "mlm_loss": 5.0}
        lines.append(line | {"los_loss": 0.6, "patients_per_second": 400.5, "seconds": step / 6})
    lines.append({"kind": "eval", "step": 60, "patients": 200, "masked_codes": 61, "mlm_loss": 4.5})
    lines[-1] |= {"los_loss": 0.5, "top_1": 0.1, "top_5": 0.3, "top_10": 0.5, "los_auc": None}
    lines.append({"kind": "checkpoint", "step": 60, "folder": "checkpoints/x", "validation_loss": 5.0})
    lines.append({"kind": "stop", "step": 60, "reason": "SIGTERM", "ranks": [0, 1]})
    rows = {"rank": 0, "rows": {"part-00000.parquet": [1, 7]}, "anomaly": None}
    lines.append({"kind": "stop", "step": 60, "reason": "not finite", "found": [rows]})
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _read_run(folder: str) -> Any:
    """The log, and the page that is made of it."""
    from reports.training_page import render_training

    render_training(folder).encode()
    return read_log(f"{folder}/{METRICS_FILE}")


def _log_agrees(files: Mapping[str, bytes], found: Any) -> bool:
    *lines, _ = files[METRICS_FILE].split(b"\n")  # behind the last end of a line is none
    said = [json.loads(line) for line in lines if line.strip()]
    return json.dumps(said) == json.dumps(found)


def every_kind(scratch: str) -> list[Kind]:
    """All kinds but TensorFlow checkpoints (tests.fuzz.tf_checkpoints). scratch: an empty folder."""
    log = _one_file(METRICS_FILE, _log(), JSON_LINES)
    return [
        *_types(),
        *_maps(),
        *_yaml_kinds(),
        *_manifest_kinds(scratch),
        *_vocabulary_kinds(scratch),
        *_shard_kinds(scratch),
        *_weights_kinds(scratch),
        Kind("metrics.jsonl", **log, read=_read_run, agrees=_log_agrees),
    ]
