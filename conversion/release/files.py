"""Nothing but the model in the folder: no foreign file, no pickle, nothing more in the weights' file."""

from __future__ import annotations

import os
import re

from conversion.checkpoints.safetensors_file import read_header, read_safetensors
from conversion.model_folder import ModelFolder
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
    metadata = read_header(path)[0].get("__metadata__", {})
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
