"""Nothing but the model in any file of the folder: no foreign file, no pickle, no patient's id, no date."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from conversion.checkpoints.safetensors_file import read_safetensors
from conversion.model_folder import ModelFolder
from conversion.patients.patient_files import PatientFile
from conversion.release.checks import Check
from schemas.bert_names import check_shapes, transformers_shapes
from schemas.errors import ContractError
from schemas.manifest import MANIFEST_NAME, join
from schemas.model import (
    CARD_FILE,
    CONFIG_FILE,
    HELPER_FILES,
    RELEASE_REPORT_FILE,
    REPORT_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
)
from schemas.vocabulary import VOCAB_FILE

KNOWN_FILES = {
    *(CARD_FILE, CONFIG_FILE, *HELPER_FILES, MANIFEST_NAME, RELEASE_REPORT_FILE, REPORT_FILE),
    *(TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, VOCAB_FILE, WEIGHTS_FILE),
}
# Protocol 2 and later of pickle, torch.save's zip, NumPy's .npy (which may hold pickled objects), HDF5.
_NOT_PLAIN = re.compile(rb"\x80[\x02-\x05]|PK\x03\x04|\x93NUMPY|\x89HDF")
_DATE = re.compile(
    r"\b(?:1[89]|2[0-9])\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])\b"
    r"|\b(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12]\d|3[01])/(?:1[89]|2[0-9])\d\d\b"
)
_WORD = re.compile(r"[A-Za-z0-9_-]+")
_WORD_AMONG_BYTES = re.compile(rb"[A-Za-z0-9_-]{8,}")
SHORTEST_ID = 5
SHORTEST_NUMBER = 7
"""Shorter ids can't be told from the sizes and codes that every model folder is full of."""


def check_files(model: ModelFolder) -> Check:
    """Only the files of a model folder, the weights in safetensors and nothing else in them, no pickle."""
    problems = []
    for name in sorted(os.listdir(model.path)):
        path = join(model.path, name)
        if name not in KNOWN_FILES or not os.path.isfile(path) or os.path.islink(path):
            problems.append(f"{name} is no file of a model folder")
            continue
        with open(path, "rb") as stream:
            if _NOT_PLAIN.match(stream.read(8)):
                problems.append(f"{name} is a pickle or an archive")
    problems += _problems_of_weights(model)
    in_words = (
        "only a model folder's files; weights in safetensors, no pickle"
        if not problems
        else "; ".join(problems)
    )
    return Check("files", not problems, in_words, {"problems": problems})


def _problems_of_weights(model: ModelFolder) -> list[str]:
    path = join(model.path, WEIGHTS_FILE)
    with open(path, "rb") as stream:
        header = stream.read(int.from_bytes(stream.read(8), "little"))
    metadata = json.loads(header).get("__metadata__", {})
    problems = (
        [] if metadata in ({}, {"format": "pt"}) else [f"{WEIGHTS_FILE} has metadata {sorted(metadata)}"]
    )
    arrays = read_safetensors(path)
    try:
        check_shapes(
            transformers_shapes(model.config),
            {name: array.shape for name, array in arrays.items()},
            WEIGHTS_FILE,
        )
    except ContractError as error:
        problems.append(str(error))
    return problems


def check_patient_data(model: ModelFolder, patients: Iterable[PatientFile]) -> Check:
    """No patient's id and no date in any file. patients: of the sequences that the model was trained on."""
    import pyarrow as pa
    import pyarrow.compute as pc

    words, dates = set[str](), 0
    for name in sorted(set(os.listdir(model.path)) & KNOWN_FILES):
        if name == WEIGHTS_FILE:
            words |= _words_among_bytes(join(model.path, name))
            continue
        for text in _texts(name, model.read_text(name)):
            words |= {word for word in _WORD.findall(text) if _is_long_enough(word)}
            dates += len(_DATE.findall(text))
    values = pa.array(sorted(words), pa.string())
    num_ids = num_found = num_short = 0
    for file in patients:
        for ids in file.read_ids():
            num_ids += len(ids)
            num_found += pc.sum(pc.is_in(ids, value_set=values)).as_py() or 0
            digits = pc.match_substring_regex(ids, r"^[0-9]+$")
            shortest = pc.if_else(digits, SHORTEST_NUMBER, SHORTEST_ID)
            num_short += pc.sum(pc.less(pc.utf8_length(ids), shortest)).as_py() or 0
    passed = not num_found and not dates and num_short < max(num_ids, 1)
    in_words = f"{num_found:,} of {num_ids:,} patient ids and {dates:,} dates found in the folder's files"
    if num_short:
        in_words += f"; {num_short:,} ids are too short to be told from sizes"
    found = {"ids": num_ids, "ids_found": num_found, "ids_too_short": num_short, "dates_found": dates}
    return Check("patient data", passed, in_words, found)


def _is_long_enough(word: str) -> bool:
    return len(word) >= (SHORTEST_NUMBER if word.isdigit() else SHORTEST_ID)


def _texts(name: str, text: str) -> Iterator[str]:
    """Of JSON only the strings: its numbers are sizes and ids of tokens."""
    if name.endswith(".json"):
        yield from _strings(json.loads(text))
    else:
        yield text


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _words_among_bytes(path: str) -> set[str]:
    with open(path, "rb") as stream:
        return {word.decode() for word in _WORD_AMONG_BYTES.findall(stream.read())}
