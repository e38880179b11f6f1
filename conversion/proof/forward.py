"""Run a model folder with `transformers`, and write what each layer and head computes.

The target's side of the verification, in a process of its own:
`python -m conversion forward --model DIR --inputs x.npz --outputs FOLDER`. The names in the files are
those of `trainer forward`, which runs the source.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from schemas.errors import ContractError
from schemas.model_config import TANH_GELU, BertConfig
from schemas.small_files import check_npz

FLOAT32 = "float32"
FLOAT64 = "float64"
BFLOAT16 = "bfloat16"
ERF_GELU = "erf_gelu"
VARIANTS = (FLOAT32, FLOAT64, BFLOAT16, ERF_GELU)


@dataclass(frozen=True, kw_only=True)
class ForwardConfig:
    """Which model is run on which patients."""

    model: str
    """A local model folder."""
    inputs: str
    """An .npz of input_ids, attention_mask, token_type_ids (B, T), masked_rows, masked_columns,
    masked_labels (M,) and prolonged_los (B,)."""
    outputs: str
    """Folder for one .npz a variant."""
    variants: list[str] = field(default_factory=lambda: [FLOAT32])
    """float32; float64; bfloat16; erf_gelu: float32 with the erf form of GELU in place of the tanh form."""


def variants_of(config: BertConfig) -> tuple[str, ...]:
    """Those that say something of a network: without GELU it has no erf form."""
    return tuple(v for v in VARIANTS if v != ERF_GELU or config.hidden_act == TANH_GELU)


def run_forward(config: ForwardConfig) -> None:
    """Write `<outputs>/<variant>.npz` for each variant.

    Raises ContractError for a folder that loads only in part.
    """
    unknown = set(config.variants) - set(VARIANTS)
    if unknown:
        raise ContractError(
            f"variant {unknown.pop()}", f"it is one of {', '.join(VARIANTS)}", "choose one of them"
        )
    with open(config.inputs, "rb") as stream:
        check_npz(stream, config.inputs)
        with np.load(stream) as stored:
            inputs = {name: stored[name] for name in stored.files}
    os.makedirs(config.outputs, exist_ok=True)
    for variant in config.variants:
        outputs = _forward(_load(config.model, variant), inputs)
        np.savez(os.path.join(config.outputs, f"{variant}.npz"), **outputs)


def _load(folder: str, variant: str) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForPreTraining

    settings = AutoConfig.from_pretrained(folder, local_files_only=True)
    if variant == ERF_GELU:
        settings.hidden_act = "gelu"
    model, loading = AutoModelForPreTraining.from_pretrained(
        folder, config=settings, local_files_only=True, output_loading_info=True, dtype=torch.float32
    )
    wrong = {
        what: sorted(map(str, keys)) for what, keys in loading.items() if keys and what.endswith("_keys")
    }
    if wrong:
        raise ContractError(
            f"{folder} loads with {wrong}",
            "every parameter of the model is in the folder",
            "convert it again",
        )
    precisions = {BFLOAT16: torch.bfloat16, FLOAT64: torch.float64}
    return model.to(precisions.get(variant, torch.float32)).eval()


def _forward(model: Any, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    import torch
    from torch.nn.functional import log_softmax, nll_loss

    from conversion.shipped.los_head import pool

    def wide(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.float() if tensor.dtype == torch.bfloat16 else tensor

    tensors = {name: torch.from_numpy(array.astype(np.int64)) for name, array in inputs.items()}
    mask = tensors["attention_mask"]
    with torch.inference_mode():
        encoded = model.bert(
            tensors["input_ids"],
            attention_mask=mask,
            token_type_ids=tensors["token_type_ids"],
            output_hidden_states=True,
        )
        masked = encoded.last_hidden_state[tensors["masked_rows"], tensors["masked_columns"]]  # (M, H)
        mlm = log_softmax(wide(model.cls.predictions(masked)), dim=-1)  # (M, V)
        pooled = pool(model.config.los_pooling, encoded.last_hidden_state, encoded.pooler_output, mask)
        los = log_softmax(wide(model.cls.seq_relationship(pooled)), dim=-1)  # (B, 2)
        embeddings, *layers = encoded.hidden_states
        outputs = {
            "embeddings": embeddings,
            **{f"layer_{number}": layer for number, layer in enumerate(layers)},
            "sequence_output": encoded.last_hidden_state,
            "pooled_output": encoded.pooler_output,
            "mlm_log_probs": mlm,
            "los_log_probs": los,
            "mlm_loss": nll_loss(mlm, tensors["masked_labels"]),
            "los_loss": nll_loss(los, tensors["prolonged_los"]),
        }
        return {name: wide(tensor).numpy() for name, tensor in outputs.items()}
