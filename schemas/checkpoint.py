"""`checkpoints/step-00000300/`: everything needed to go on training, or to convert the model.

| file | what |
|---|---|
| config.json | schemas.model_config.BertConfig |
| vocab.txt | the vocabulary that the ids mean |
| training_state.json | step, epoch, position in the data, world size, seed, validation loss |
| model.ckpt-300.{index,data-…} | TensorFlow: BERT's own variable names, and `global_step` |
| model.safetensors, optimizer.safetensors | PyTorch: transformers' BertForPreTraining parameter names |
| manifest.json | written last; a folder without it is skipped |

The manifest has `max_seq_length` (schemas.model_config) and, of mapped codes, `code_maps`
(schemas.applied_maps). Adam's slots of a variable are `<name>/adam_m` and `<name>/adam_v` in both.

A step that is saved again gets a folder of its own, `step-00000300-2`, and the one before stays until that is
whole: a run that lost a rank does steps again, and an evaluation that was given up is made later.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import fsspec

from schemas.applied_maps import AppliedMap, read_code_maps
from schemas.errors import NotPublished
from schemas.files import names_in
from schemas.manifest import Manifest, join, read_manifest, read_small
from schemas.model_config import BertConfig, max_seq_length_of, parse_bert_config
from schemas.vocabulary import VOCAB_FILE, SpecialTokens, decode_vocab_txt, special_tokens_of

KIND = "checkpoint"
TENSORFLOW_MODEL_KIND = "tensorflow_model"
"""A TensorFlow checkpoint without optimiser slots, in a folder with its bert_config.json."""
CHECKPOINTS_FOLDER = "checkpoints"
CONFIG_FILE = "config.json"
TRAINING_STATE_FILE = "training_state.json"
TORCH_MODEL_FILE = "model.safetensors"
TORCH_OPTIMIZER_FILE = "optimizer.safetensors"
TENSORFLOW = "tensorflow"
TORCH = "torch"
ADAM_M = "adam_m"
ADAM_V = "adam_v"
GLOBAL_STEP = "global_step"

_PATTERN = re.compile(r"[*?\[\]\\]")
_FOLDER = re.compile(r"step-(\d{8,})(?:-(\d+))?")


def folder_name(step: int, save: int = 1) -> str:
    """save: 2 for a step that is saved for the second time, and so on."""
    return f"step-{step:08d}" if save == 1 else f"step-{step:08d}-{save}"


def tensorflow_prefix(step: int) -> str:
    """What TensorFlow calls the checkpoint: the common start of its files' names."""
    return f"model.ckpt-{step}"


@contextmanager
def under_plain_name(prefix: str) -> Iterator[str]:
    """The prefix of a local TensorFlow checkpoint under which TensorFlow can read it, while in the context.

    TensorFlow takes a prefix for a pattern: where it has such signs, it is links in a folder of their own.
    """
    if not _PATTERN.search(prefix):
        yield prefix
        return
    folder, name = os.path.split(os.path.abspath(prefix))
    with tempfile.TemporaryDirectory(prefix="links-") as links:
        for file in os.listdir(folder):
            if file.startswith(f"{name}."):
                os.symlink(os.path.join(folder, file), os.path.join(links, f"model{file[len(name) :]}"))
        yield os.path.join(links, "model")


@dataclass(frozen=True)
class Checkpoint:
    """One published checkpoint folder."""

    uri: str
    step: int
    backend: str
    config: BertConfig
    max_seq_length: int
    tokens: tuple[str, ...]
    special: SpecialTokens
    vocabulary_fingerprint: str
    code_maps: tuple[AppliedMap, ...]
    manifest: Manifest


def open_checkpoint(uri: str, *, verify: bool = False) -> Checkpoint:
    """Read a checkpoint folder's description (not its weights); of what it reads, the SHA-256 is compared.

    verify: compare that of every file, the weights among them. Raises ContractError.
    """
    manifest = read_manifest(uri, KIND, verify=verify)
    details = dict(manifest.details)
    config = parse_bert_config(read_small(uri, manifest, CONFIG_FILE), join(uri, CONFIG_FILE))
    return Checkpoint(
        uri=uri,
        step=details["step"],
        backend=details["backend"],
        config=config,
        max_seq_length=max_seq_length_of(details, config, uri),
        tokens=decode_vocab_txt(read_small(uri, manifest, VOCAB_FILE), join(uri, VOCAB_FILE)),
        special=special_tokens_of(details, uri),
        vocabulary_fingerprint=details["vocabulary_fingerprint"],
        code_maps=read_code_maps(details, uri),
        manifest=manifest,
    )


def list_checkpoints(run_uri: str) -> list[tuple[int, str]]:
    """(step, folder) of every checkpoint folder of a run, oldest first; not yet checked for a manifest.

    Of a step, its saves one after the other. Raises OSError (or what its driver raises) when a store fails.
    """
    return [(step, uri) for step, _, uri in list_saves(run_uri)]


def list_saves(run_uri: str) -> list[tuple[int, int, str]]:
    """(step, which save of that step, folder), like `list_checkpoints`."""
    folder = join(run_uri, CHECKPOINTS_FOLDER)
    filesystem, root = fsspec.core.url_to_fs(folder)
    filesystem.invalidate_cache()  # a remote one remembers listings; another process may have written since
    found = ((match, name) for name in names_in(filesystem, root) if (match := _FOLDER.fullmatch(name)))
    return sorted((int(match[1]), int(match[2] or 1), join(folder, name)) for match, name in found)


def latest_checkpoint(run_uri: str) -> Checkpoint | None:
    """The newest checkpoint that was published whole; None when there is none.

    A folder without a manifest was being written when the process died, and is skipped.
    """
    for _, uri in reversed(list_checkpoints(run_uri)):
        try:
            return open_checkpoint(uri)
        except NotPublished:
            continue
    return None
