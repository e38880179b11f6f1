"""Only the files of a model folder, each equal to what this release writes where that can be told."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping

from conversion.checkpoints.safetensors_file import read_header, read_safetensors, safetensors_bytes
from conversion.folder_content import folder_content
from conversion.model_folder import ModelFolder
from conversion.release.checks import Check
from schemas.applied_maps import CODE_MAPS
from schemas.bert_names import check_shapes, transformers_shapes
from schemas.errors import ContractError
from schemas.lease import LEASE_NAME
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
from schemas.small_files import read_small_file
from schemas.vocabulary import SPECIAL_TOKENS, VOCAB_FILE

CONTENT_FILES = {
    *(CONFIG_FILE, *HELPER_FILES, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, VOCAB_FILE, WEIGHTS_FILE),
}
NEEDED_FILES = CONTENT_FILES | {CARD_FILE, MANIFEST_NAME, REPORT_FILE}
KNOWN_FILES = NEEDED_FILES | {RELEASE_REPORT_FILE}
_MANIFEST_DETAILS = {"special_tokens", "step", CODE_MAPS}
# Protocol 2 and later of pickle, torch.save's zip, NumPy's .npy (which may hold pickled objects), HDF5.
_NOT_PLAIN = re.compile(rb"\x80[\x02-\x05]|PK\x03\x04|\x93NUMPY|\x89HDF")
_PASSED = (
    "only a model folder's files, no pickle; configuration, vocabulary, tokenizer and helpers are, byte for "
    "byte, what this release writes for this configuration and vocabulary; the weights are a safetensors "
    "file of the configuration's names, shapes and float32, with nothing else in it"
)
_NOT_COMPARED = [
    "the values of the weights",
    f"the values in {CONFIG_FILE} that no shape of a weight shows",
    f"{CARD_FILE} but for this part",
    f"{REPORT_FILE}",
    f"options, inputs and counts in {MANIFEST_NAME}",
]


def check_files(model: ModelFolder) -> Check:
    """Compare the folder with what this release writes for its configuration and vocabulary.

    Whatever follows from these two is made again and compared byte for byte: so no foreign code, key or rule
    of the tokenizer passes. Of the weights the file is compared, but not the values.
    """
    problems = [
        *_problems_of_kinds(model.path),
        *_problems_of_content(model),
        *_problems_of_manifest(model),
        *_problems_of_weights(model),
    ]
    in_words = "; ".join(problems) or _PASSED
    return Check("files", not problems, in_words, {"problems": problems}, list(_NOT_COMPARED))


def _problems_of_kinds(folder: str) -> Iterator[str]:
    names = set(os.listdir(folder)) - {LEASE_NAME}  # this check's own
    for name in sorted(names):
        path = join(folder, name)
        if name not in KNOWN_FILES or not os.path.isfile(path) or os.path.islink(path):
            yield f"{name} is no file of a model folder"
            continue
        with open(path, "rb") as stream:
            if _NOT_PLAIN.match(stream.read(8)):
                yield f"{name} is a pickle or an archive"
    yield from (f"{name} is missing" for name in sorted(NEEDED_FILES - names))


def _problems_of_content(model: ModelFolder) -> Iterator[str]:
    content = folder_content(model.config, model.max_seq_length, model.tokens, model.special)
    for name, right in sorted(content.items()):
        try:
            found = read_small_file(join(model.path, name))
        except OSError:
            continue  # missing, or no file: said above
        if found != right:
            yield _difference(name, found, right)


def _difference(name: str, found: bytes, right: bytes) -> str:
    """In words, where file `name` is not what it must be."""
    if name in HELPER_FILES:
        return f"{name} is not the file that this release ships"
    if name in (CONFIG_FILE, TOKENIZER_CONFIG_FILE):
        unknown = _keys(found) - _keys(right)
        if unknown:
            return f"{name} has keys that a model folder does not have: {', '.join(sorted(unknown))}"
    return f"{name} differs from the one that this release writes for {CONFIG_FILE} and {VOCAB_FILE}"


def _keys(text: bytes) -> set[str]:
    """Of a JSON object; none where it is no such thing."""
    try:
        return set(dict(json.loads(text)))
    except (ValueError, TypeError, RecursionError):
        return set()


def _problems_of_manifest(model: ModelFolder) -> Iterator[str]:
    listed = {file.path for file in model.manifest.files}
    yield from (f"{MANIFEST_NAME} does not list {name}" for name in sorted(CONTENT_FILES - listed))
    yield from (f"{MANIFEST_NAME} lists {name}" for name in sorted(listed - CONTENT_FILES))
    unknown = set(model.manifest.details) - _MANIFEST_DETAILS
    if unknown:
        yield f"{MANIFEST_NAME} has keys that a model's does not have: {', '.join(sorted(unknown))}"
    if model.read_text(MANIFEST_NAME) != model.manifest.to_json():
        yield f"{MANIFEST_NAME} holds more than what is read of it"
    if not _has_special_names(model.tokens, vars(model.special)):
        yield f"{MANIFEST_NAME} calls tokens special that are not {', '.join(SPECIAL_TOKENS)}"


def _has_special_names(tokens: tuple[str, ...], ids: Mapping[str, int | None]) -> bool:
    """Whether no code is passed off as a special token, of which no patients are counted."""
    names = dict(zip(("pad", "unk", "cls", "mask"), SPECIAL_TOKENS, strict=True))
    return all(
        token_id is None
        or (
            0 <= token_id < len(tokens)
            and (tokens[token_id] == names[role] or (role == "mask" and token_id == ids["pad"]))
        )
        for role, token_id in ids.items()
    )


def _problems_of_weights(model: ModelFolder) -> list[str]:
    path = join(model.path, WEIGHTS_FILE)
    metadata = read_header(path)[0].get("__metadata__", {})
    problems = [] if metadata == {"format": "pt"} else [f"{WEIGHTS_FILE} has metadata {sorted(metadata)}"]
    arrays = read_safetensors(path)
    try:
        check_shapes(
            transformers_shapes(model.config),
            {name: array.shape for name, array in arrays.items()},
            WEIGHTS_FILE,
        )
    except ContractError as error:
        problems.append(str(error))
    types = {str(array.dtype) for array in arrays.values()} - {"float32"}
    if types:
        problems.append(f"{WEIGHTS_FILE} has values of {', '.join(sorted(types))}")
    if not problems:
        with open(path, "rb") as stream:
            if stream.read() != safetensors_bytes(arrays):
                problems.append(f"{WEIGHTS_FILE} holds more than its arrays")
    return problems
