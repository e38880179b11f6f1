"""Every option of a pretraining run, filled by a YAML preset (configs/) and the command line."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from schemas.errors import ContractError
from schemas.model_config import BertConfig, LosPooling

MAX_SEQ_LENGTH = 1 << 14
MAX_SLOTS = 1 << 14
Compression = Literal["none", "fp16"]


@dataclass(frozen=True)
class DataConfig:
    """Where the shards are, and how they are read."""

    shards: str
    """Folder (or URI) with the splits train/ and valid/."""
    vocabulary: str
    """The vocabulary folder that the shards were written with."""
    reader: Literal["arrow", "petastorm", "tfrecord"] = "arrow"
    """arrow and petastorm read the Parquet files, tfrecord the TFRecord files; all give the same rows."""
    max_seq_length: int = 512
    """Codes a patient at most; of a longer patient the latest codes are kept, and it is counted."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_seq_length <= MAX_SEQ_LENGTH:
            raise ContractError(
                f"data.max_seq_length is {self.max_seq_length}",
                f"it is between 1 and {MAX_SEQ_LENGTH}",
                "choose e.g. 512",
            )


@dataclass(frozen=True)
class MaskingConfig:
    """Which codes are hidden from the model. Drawn afresh each epoch."""

    rate: float = 0.15
    """Share of a patient's codes that is masked (at least one code a patient)."""
    codes_per_patient: int | None = None
    """A fixed number of codes a patient instead of a rate; the paper masks 1."""
    mask_share: float = 0.8
    """Of the chosen codes, the share that becomes [MASK]."""
    random_share: float = 0.1
    """Of the chosen codes, the share that becomes another code; the rest stays as it is."""

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise ContractError(
                f"masking.rate is {self.rate}", "it is above 0 and at most 1", "choose e.g. 0.15"
            )
        if self.codes_per_patient is not None and self.codes_per_patient < 1:
            raise ContractError(
                f"masking.codes_per_patient is {self.codes_per_patient}",
                "it is at least 1, or null",
                "choose e.g. 1",
            )
        if min(self.mask_share, self.random_share) < 0 or self.mask_share + self.random_share > 1:
            raise ContractError(
                f"masking.mask_share is {self.mask_share} and masking.random_share {self.random_share}",
                "they are shares of the masked codes and together at most 1",
                "choose e.g. 0.8 and 0.1",
            )

    def for_evaluation(self) -> MaskingConfig:
        """As many codes, but each of them hidden: one left as it is, as in training, gives itself away."""
        return replace(self, mask_share=1.0, random_share=0.0)


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and rates of the network; the vocabulary size is the vocabulary's."""

    hidden_size: int = 192
    num_hidden_layers: int = 6
    num_attention_heads: int = 6
    intermediate_size: int = 64
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 1000
    """Visit numbers are below this."""
    initializer_range: float = 0.02
    los_pooling: LosPooling = "first"
    """What the prolonged-stay head reads: the first token through the pooler, or the mean or sum of all
    real tokens. With these the pooler learns beside the network, to which its errors do not go back, so
    that a classifier can start from it."""

    def bert_config(self, vocab_size: int) -> BertConfig:
        return BertConfig(vocab_size=vocab_size, trained_pooler=True, **vars(self))


@dataclass(frozen=True)
class OptimizerConfig:
    """No decay on biases and layer norms; linear warm-up and decay."""

    name: Literal["adamw", "lamb"] = "adamw"
    """adamw: as in BERT, without bias correction. lamb: You et al. 2020, for very large batches."""
    learning_rate: float = 5e-5
    weight_decay: float = 0.01
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-6
    clip_norm: float = 1.0
    """Largest norm of the whole gradient."""
    warmup_steps: int = 10_000
    warmup_patients: int | None = None
    """Of all ranks, instead of steps: see PretrainConfig.patients."""

    def __post_init__(self) -> None:
        for names, rule, allowed in (
            (("learning_rate", "epsilon", "clip_norm"), "above 0 and finite", lambda x: 0 < x < math.inf),
            (("beta_1", "beta_2"), "at least 0 and below 1", lambda x: 0 <= x < 1),
            (("weight_decay", "warmup_steps"), "at least 0 and finite", lambda x: 0 <= x < math.inf),
        ):
            for name in names:
                value = getattr(self, name)
                if not allowed(value):
                    default = getattr(OptimizerConfig, name)
                    raise ContractError(
                        f"optimizer.{name} is {value}", f"it is {rule}", f"choose e.g. {default}"
                    )


@dataclass(frozen=True)
class PretrainConfig:
    """One pretraining run."""

    data: DataConfig
    output: str
    """The run's folder: checkpoints/, metrics.jsonl, tensorboard/, config.json, learned_codes.json."""
    backend: Literal["tensorflow", "torch"] = "torch"
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of products in training (PyTorch: of whole layers); weights, sums and evaluation stay float32."""
    compile: bool = False
    """PyTorch: torch.compile joins a training step's passes over memory, at the first step, which then takes
    half a minute. For GPUs; on a CPU it is no faster."""
    compression: Compression = "none"
    """fp16: gradients travel between ranks in 16 bits, scaled to fit."""
    max_slots: int = MAX_SLOTS
    """Slots (codes and padding) of a rank's step that are in the network at once, at most (and never fewer
    than 256 or the longest patient). A larger step is run in parts whose gradients are added up: memory stays
    bounded whatever the batch. TensorFlow takes no more than 8,192 in float32 on a CPU."""
    seed: int = 0
    """Of weights, order, masks and dropout; at least 0."""
    steps: int = 100_000
    """Optimiser steps in all."""
    patients: int | None = None
    """Patients in all, counted as often as they are seen, instead of steps: warm-up and decay are counted in
    them, so that a recipe holds for any batch_size and number of ranks."""
    batch_size: int = 32
    """Patients a step on each rank."""
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    init_checkpoint: str | None = None
    """Start from these weights: a TensorFlow checkpoint prefix, a checkpoint folder of this backend, or
    (PyTorch) a model folder that the conversion or transformers wrote, with its tokenizer."""
    detect_anomaly: bool = False
    """After a step that gave a value that is not finite, run it again, slowly, to name the operation."""
    profile_steps: int = 0
    """Steps to trace, soon after a process begins: traces/ gets a file a rank that Perfetto opens."""
    log_every: int = 20
    """Steps between progress lines."""
    eval_every: int = 1_000
    """Steps between evaluations on the valid split."""
    eval_patients: int | None = 10_000
    """Patients of the valid split that are evaluated; all of them when null."""
    checkpoint_every: int = 1_000
    """Steps between checkpoints."""
    commit_every: int = 100
    """Elastic runs: steps between copies of the weights in memory, to which a lost rank sets the run back;
    each checkpoint comes with one, too."""
    keep_checkpoints: int = 3
    """The newest checkpoints that are kept."""
    keep_best: int = 1
    """Checkpoints with the lowest validation loss (mlm_loss + los_loss) that are kept besides, of those whose
    step was evaluated: let checkpoint_every divide eval_every."""

    def __post_init__(self) -> None:
        if self.compile and self.backend != "torch":
            raise ContractError(
                f"compile is true and backend {self.backend}",
                "only PyTorch's steps are compiled so",
                "leave compile out, or choose --backend torch",
            )
        if self.data.max_seq_length > self.model.max_position_embeddings:
            raise ContractError(
                f"data.max_seq_length is {self.data.max_seq_length}",
                f"it is at most model.max_position_embeddings, {self.model.max_position_embeddings}",
                "lower data.max_seq_length or raise model.max_position_embeddings",
            )
        for name in (
            "steps",
            "batch_size",
            "log_every",
            "eval_every",
            "checkpoint_every",
            "commit_every",
            "keep_checkpoints",
            "max_slots",
        ):
            value = getattr(self, name)
            if value < 1:
                raise ContractError(f"{name} is {value}", "it is at least 1", f"raise {name}")
        if (self.patients is None) != (self.optimizer.warmup_patients is None):
            raise ContractError(
                f"patients is {self.patients} and optimizer.warmup_patients {self.optimizer.warmup_patients}",
                "a run and its warm-up are both counted in steps, or both in patients",
                "set both of them or neither",
            )
        for name, patients in (
            ("patients", self.patients),
            ("optimizer.warmup_patients", self.optimizer.warmup_patients),
            ("eval_patients", self.eval_patients),
        ):
            if patients is not None and patients < 1:
                raise ContractError(f"{name} is {patients}", "it is at least 1, or null", f"raise {name}")
        for name in ("seed", "keep_best", "profile_steps"):
            value = getattr(self, name)
            if value < 0:
                raise ContractError(f"{name} is {value}", "it is at least 0", f"raise {name}")
