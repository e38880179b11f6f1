"""No patient's id and no date in any file of the folder."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from conversion.checkpoints.safetensors_file import read_header
from conversion.model_folder import ModelFolder
from conversion.patients.patient_files import PatientFile
from conversion.release.checks import Check
from conversion.release.files import KNOWN_FILES
from conversion.release.id_search import IdsAmongBytes, IdsInTexts
from schemas.manifest import join
from schemas.model import WEIGHTS_FILE
from schemas.small_cells import publishable, published_in_words

_DATE = re.compile(
    r"\b(?:1[89]|2[0-9])\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])\b"
    r"|\b(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12]\d|3[01])/(?:1[89]|2[0-9])\d\d\b"
)

_NOT_COMPARED = ["numbers in JSON files with ids and dates", "ids and dates that are encoded or abbreviated"]


def check_patient_data(
    model: ModelFolder, patients: Iterable[PatientFile], drafts: Mapping[str, str]
) -> Check:
    """Look for the ids and for dates. drafts: file name → text that is yet to be written into the folder.

    patients: of the sequences that the model was trained on. Fails also where no id could be looked for.
    """
    header, start = read_header(join(model.path, WEIGHTS_FILE))
    texts = {*_strings(header), *_texts_of_files(model, drafts)}
    dates = sum(len(_DATE.findall(text)) for text in texts)
    in_texts, in_weights = IdsInTexts(texts), IdsAmongBytes(join(model.path, WEIGHTS_FILE), start)
    num_ids = num_found = num_too_short = num_not_in_weights = 0
    for file in patients:
        for ids in file.read_ids():
            for patient_id in ids.to_pylist():
                in_a_text, in_the_weights = in_texts.found(patient_id), in_weights.found(patient_id)
                num_found += bool(in_a_text or in_the_weights)
                num_too_short += in_a_text is None
                num_not_in_weights += in_the_weights is None
            num_ids += len(ids)
    shown, too_short, not_in_weights = (
        publishable(number, number) for number in (num_ids, num_too_short, num_not_in_weights)
    )
    passed = not num_found and not dates and num_too_short < num_ids
    found_in_words = f"{num_found:,} of {published_in_words(shown)} patient ids and {dates:,} dates found"
    if num_too_short:
        found_in_words += f"; {published_in_words(too_short)} ids are too short to be looked for"
    if num_not_in_weights:
        found_in_words += (
            f"; {published_in_words(not_in_weights)} could not be looked for among the weights' bytes"
        )
    found = {
        "ids": shown,
        "ids_found": num_found,
        "ids_too_short": too_short,
        "ids_not_looked_for_in_weights": not_in_weights,
        "dates_found": dates,
    }
    return Check("patient data", passed, found_in_words, found, list(_NOT_COMPARED))


def _texts_of_files(model: ModelFolder, drafts: Mapping[str, str]) -> Iterator[str]:
    """Of JSON only the strings: its numbers are sizes and ids of tokens."""
    for name in (KNOWN_FILES & set(os.listdir(model.path)) | drafts.keys()) - {WEIGHTS_FILE}:
        text = drafts[name] if name in drafts else model.read_text(name)
        yield from _strings_of_json(text) if name.endswith(".json") else (text,)


def _strings_of_json(text: str) -> Iterator[str]:
    """All strings; the text itself where it is no JSON."""
    try:
        # As pairs: of a key that is there twice, a dictionary would keep the last value alone.
        plain = json.loads(text, object_pairs_hook=lambda pairs: [list(pair) for pair in pairs])
    except (ValueError, RecursionError):
        yield text
    else:
        yield from _strings(plain)


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
