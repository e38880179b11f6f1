"""The checkpoint to convert: TensorFlow files from anywhere, a checkpoint folder or a run folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import fsspec
import numpy as np

from conversion.bert_map import Naming
from conversion.checkpoints.checkpoint_files import (
    find_prefix,
    fingerprint_of_files,
    local_folder,
    local_prefix,
)
from conversion.checkpoints.safetensors_file import read_safetensors
from conversion.checkpoints.tf_checkpoint import read_tensorflow_checkpoint, write_tensorflow_checkpoint
from conversion.tokens.vocabulary_source import ModelVocabulary, load_vocabulary
from schemas.checkpoint import (
    CONFIG_FILE,
    TENSORFLOW,
    TENSORFLOW_MODEL_KIND,
    TORCH_MODEL_FILE,
    latest_checkpoint,
    open_checkpoint,
    tensorflow_prefix,
)
from schemas.errors import ContractError
from schemas.manifest import MANIFEST_NAME, join, stated_kind
from schemas.model_config import BertConfig, LosPooling, read_bert_config, read_max_seq_length
from schemas.small_files import read_small_file

_CONFIG_NAMES = ("bert_config.json", CONFIG_FILE)


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Which checkpoint, and what it does not say of itself."""

    checkpoint: str | None = None
    """A TensorFlow checkpoint (`…/model.ckpt-300`, one of its files, or its folder), or a checkpoint folder
    of this trainer."""
    run: str | None = None
    """A run folder of this trainer, in place of `checkpoint`: its latest checkpoint is taken."""
    config: str | None = None
    """bert_config.json of a TensorFlow checkpoint; by default the one that lies beside it."""
    vocabulary: str | None = None
    """Of a TensorFlow checkpoint: a vocabulary folder, a vocab.txt or a .types file; else placeholders."""
    los_pooling: LosPooling | None = None
    """What a TensorFlow checkpoint's prolonged-stay head reads; by default its configuration's, or first."""
    use_ema: bool = False
    """Of a TensorFlow checkpoint: take the moving averages of the weights in place of the weights."""


@dataclass(frozen=True)
class SourceWeights:
    """arrays: the variables by BERT's or transformers' name; ignored: those left unread, with the reason.

    num_renamed: variables that the checkpoint has under an odd name (conversion.checkpoints.variable_names).
    as_stored: whether the trainer reads the same from the checkpoint.
    """

    arrays: Mapping[str, np.ndarray]
    ignored: dict[str, str] = field(default_factory=dict)
    num_renamed: int = 0
    as_stored: bool = True


@dataclass(frozen=True)
class Source:
    """An opened checkpoint, local.

    path: what `trainer forward --checkpoint` is given. states_itself: path is a checkpoint folder of this
    trainer, with its configuration in it. prefix: of a TensorFlow checkpoint's files, else None.
    max_seq_length: see schemas.model_config.
    fingerprint: the manifest's, or a SHA-256 of the files. use_ema: see SourceOptions.
    """

    path: str
    states_itself: bool
    name: str
    prefix: str | None
    naming: Naming
    config: BertConfig
    max_seq_length: int
    vocabulary: ModelVocabulary
    step: int | None
    fingerprint: str
    use_ema: bool = False

    def read_weights(self) -> SourceWeights:
        """Read all variables. Raises ContractError."""
        if self.prefix is not None:
            read = read_tensorflow_checkpoint(self.prefix, use_ema=self.use_ema)
            as_stored = not self.use_ema and read.num_renamed == 0
            return SourceWeights(read.variables, read.ignored, read.num_renamed, as_stored)
        return SourceWeights(read_safetensors(join(self.path, TORCH_MODEL_FILE)))

    def plainly_named(self, weights: SourceWeights, scratch: str) -> Source:
        """This source with a path that the trainer can run: a copy in `scratch` where it is not as stored."""
        if weights.as_stored:
            return self
        prefix = os.path.join(scratch, "plain", self.name)
        os.makedirs(os.path.dirname(prefix))
        write_tensorflow_checkpoint(prefix, weights.arrays)
        return replace(self, path=prefix)


def open_source(options: SourceOptions, scratch: str) -> Source:
    """Find and describe the checkpoint; a remote one is copied into the local folder `scratch`.

    Raises ContractError.
    """
    uri = _chosen_uri(options)
    if states_itself(options):
        return _open_own_folder(options, local_folder(uri, scratch))
    return _open_tensorflow(options, uri, scratch)


def states_itself(options: SourceOptions) -> bool:
    """Whether the checkpoint is a folder of this trainer, which holds its configuration and vocabulary."""
    filesystem, root = fsspec.core.url_to_fs(_chosen_uri(options))
    manifest = join(root, MANIFEST_NAME)
    if not filesystem.exists(manifest):
        return False
    return (
        stated_kind(read_small_file(join(_chosen_uri(options), MANIFEST_NAME)).decode(errors="replace"))
        != TENSORFLOW_MODEL_KIND
    )


def _chosen_uri(options: SourceOptions) -> str:
    if (options.checkpoint is None) == (options.run is None):
        raise ContractError(
            "checkpoint and run are both given" if options.run else "neither checkpoint nor run is given",
            "one of them says what to convert",
            "give --checkpoint or --run",
        )
    if options.checkpoint is not None:
        return options.checkpoint
    assert options.run is not None
    latest = latest_checkpoint(options.run)
    if latest is None:
        raise ContractError(
            f"{options.run} has no finished checkpoint",
            "a run is converted from its latest checkpoint",
            "let the run reach a checkpoint, or give --checkpoint",
        )
    return latest.uri


def _open_own_folder(options: SourceOptions, folder: str) -> Source:
    given = [f"--{name}" for name in ("config", "vocabulary", "use_ema") if getattr(options, name)]
    if given:
        raise ContractError(
            f"{' and '.join(given)} with the checkpoint folder {folder}",
            "a checkpoint folder of this trainer holds its own configuration and vocabulary, and no averages",
            f"leave out {' and '.join(given)}",
        )
    checkpoint = open_checkpoint(folder, verify=True)
    trained_with = checkpoint.config.los_pooling
    if options.los_pooling not in (None, trained_with):
        raise ContractError(
            f"--los_pooling {options.los_pooling} with a checkpoint trained with {trained_with}",
            "the prolonged-stay head reads what it was trained on",
            "leave out --los_pooling",
        )
    is_tensorflow = checkpoint.backend == TENSORFLOW
    vocabulary = ModelVocabulary(
        checkpoint.tokens,
        checkpoint.special,
        "checkpoint",
        checkpoint.vocabulary_fingerprint,
        checkpoint.code_maps,
    )
    vocabulary.check_fits(checkpoint.config.vocab_size)
    return Source(
        path=folder,
        states_itself=True,
        name=os.path.basename(folder),
        prefix=join(folder, tensorflow_prefix(checkpoint.step)) if is_tensorflow else None,
        naming="tensorflow" if is_tensorflow else "transformers",
        config=checkpoint.config,
        max_seq_length=checkpoint.max_seq_length,
        vocabulary=vocabulary,
        step=checkpoint.step,
        fingerprint=checkpoint.manifest.fingerprint,
    )


def _open_tensorflow(options: SourceOptions, uri: str, scratch: str) -> Source:
    uri = find_prefix(uri)
    config_uri = options.config or _find_config(uri)
    config = read_bert_config(config_uri, los_pooling=options.los_pooling)
    vocabulary = load_vocabulary(options.vocabulary, config.vocab_size)
    prefix = local_prefix(uri, scratch)
    step = re.search(r"-(\d+)$", prefix)
    return Source(
        path=prefix,
        states_itself=False,
        name=os.path.basename(prefix),
        prefix=prefix,
        naming="tensorflow",
        config=config,
        max_seq_length=read_max_seq_length(config_uri, config),
        vocabulary=vocabulary,
        step=int(step[1]) if step else None,
        fingerprint=fingerprint_of_files(prefix),
        use_ema=options.use_ema,
    )


def _find_config(prefix: str) -> str:
    filesystem, root = fsspec.core.url_to_fs(prefix)
    for name in _CONFIG_NAMES:
        if filesystem.isfile(join(os.path.dirname(root), name)):
            return join(prefix.rpartition("/")[0] or ".", name)
    raise ContractError(
        f"no configuration is given, and no {' or '.join(_CONFIG_NAMES)} lies beside {prefix}",
        "a TensorFlow checkpoint does not state its own sizes",
        "give --config bert_config.json",
    )
