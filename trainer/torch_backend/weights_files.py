"""Weights and optimiser slots as safetensors files, below a folder or URI."""

from __future__ import annotations

from collections.abc import Mapping

import fsspec
import safetensors
import safetensors.torch
import torch

from schemas.bert_names import check_shapes, transformers_shapes
from schemas.checkpoint import ADAM_M, ADAM_V, TORCH_MODEL_FILE, TORCH_OPTIMIZER_FILE
from schemas.errors import ContractError
from schemas.manifest import join
from schemas.model_config import BertConfig

FILES = (TORCH_MODEL_FILE, TORCH_OPTIMIZER_FILE)
_SLOTS = (ADAM_M, ADAM_V)


def write(folder: str, file: str, tensors: Mapping[str, torch.Tensor]) -> None:
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    filesystem, root = fsspec.core.url_to_fs(folder)
    filesystem.makedirs(root, exist_ok=True)
    filesystem.pipe_file(join(root, file), safetensors.torch.save(plain, metadata={"format": "pt"}))


def read_weights(folder: str, config: BertConfig) -> dict[str, torch.Tensor]:
    """transformers' parameter names → tensors. Raises ContractError for a file that does not fit."""
    return _read(folder, TORCH_MODEL_FILE, transformers_shapes(config))


def read_slots(folder: str, config: BertConfig) -> dict[str, torch.Tensor]:
    """`<parameter>/adam_m`, `…/adam_v` → tensors. Raises ContractError for a file that does not fit."""
    shapes = transformers_shapes(config)
    return _read(
        folder,
        TORCH_OPTIMIZER_FILE,
        {slot_name(name, slot): shape for name, shape in shapes.items() for slot in _SLOTS},
    )


def slot_name(parameter: str, slot: str) -> str:
    return f"{parameter}/{slot}"


def _read(folder: str, file: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    where = join(folder, file)
    filesystem, path = fsspec.core.url_to_fs(where)
    try:
        tensors = safetensors.torch.load(filesystem.cat_file(path))
    except FileNotFoundError as error:
        raise ContractError(
            f"{where} does not exist",
            f"the PyTorch backend starts from a folder with {TORCH_MODEL_FILE}: a checkpoint of its own or a "
            "converted model",
            "convert a TensorFlow checkpoint first (make convert), or check the path",
        ) from error
    except safetensors.SafetensorError as error:
        raise ContractError(
            f"{where} cannot be read ({error})", "it is a whole safetensors file", "take another checkpoint"
        ) from error
    check_shapes(shapes, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, where)
    return {name: tensor.to(torch.float32) for name, tensor in tensors.items()}
