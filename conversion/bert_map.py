"""Between BERT's TensorFlow variables and transformers' parameters, in either direction.

The names, shapes and operations are the rows of one table, schemas.bert_names, which the trainer's two
backends read as well. Whatever does not fit it is refused, every problem at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from conversion.errors import ConversionRefused
from schemas.bert_names import TIED, Operation, Row, rows_for, sizes, training_state
from schemas.model_config import BertConfig

Naming = Literal["tensorflow", "transformers"]
_SIZES = ("vocab_size", "hidden_size", "intermediate_size", "max_position_embeddings", "type_vocab_size")
_LAYER = re.compile(r"bert/encoder/layer_(\d+)/|bert\.encoder\.layer\.(\d+)\.")


@dataclass(frozen=True)
class Mapped:
    """The target's arrays, float32, and what became of every source array.

    consumed: source name → target name. ignored: source name → reason. num_renamed: source arrays that were
    stored under an odd name.
    """

    arrays: dict[str, np.ndarray]
    consumed: dict[str, str]
    ignored: dict[str, str]
    num_renamed: int = 0


def map_arrays(
    arrays: Mapping[str, np.ndarray], config: BertConfig, source: Naming, target: Naming, where: str
) -> Mapped:
    """Rename and transpose `arrays`, named as `source`, to the names of `target` (they may be the same).

    Raises ConversionRefused, with every problem: a size that the configuration states otherwise, an
    unknown, missing or misshapen array, one that is not of floating point, a NaN or an infinity.
    """
    ignored, leftover = _set_aside(arrays, source)
    problems, real_config = _compare_sizes(leftover, config, source, target)
    rows = rows_for(real_config.num_hidden_layers)
    for row in rows:
        array = leftover.pop(_name(row, source), None)
        problems += _problems_of(row, array, real_config, source, target)
    problems += [f"{name} {array.shape} is unknown" for name, array in sorted(leftover.items())]
    if problems:
        raise ConversionRefused(where, problems)
    return Mapped(
        arrays={
            _name(row, target): _convert(arrays[_name(row, source)], row, source, target) for row in rows
        },
        consumed={_name(row, source): _name(row, target) for row in rows},
        ignored=ignored,
    )


def _layer_of(name: str) -> int | None:
    match = _LAYER.match(name)
    return int(match[1] or match[2]) if match else None


def _name(row: Row, naming: Naming) -> str:
    return row.tensorflow if naming == "tensorflow" else row.transformers


def _shape(row: Row, naming: Naming) -> tuple[str | int, ...]:
    return row.shape if naming == "tensorflow" else row.transformers_shape


def _set_aside(
    arrays: Mapping[str, np.ndarray], source: Naming
) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """What is deliberately ignored, with the reasons, and the rest."""
    if source == "tensorflow":
        ignored = training_state({name: array.shape for name, array in arrays.items()})
    else:
        ignored = {name: "tied to another" for name in arrays if _is_tied_copy(name, arrays)}
    return ignored, {name: array for name, array in arrays.items() if name not in ignored}


def _is_tied_copy(name: str, arrays: Mapping[str, np.ndarray]) -> bool:
    """A tied parameter that was saved too; one with values of its own would be lost, so it is no copy."""
    return name in TIED and TIED[name] in arrays and np.array_equal(arrays[name], arrays[TIED[name]])


def _compare_sizes(
    arrays: Mapping[str, np.ndarray], config: BertConfig, source: Naming, target: Naming
) -> tuple[list[str], BertConfig]:
    """Sizes that the configuration states otherwise than all arrays do; and the configuration with theirs.

    So one wrong number in the configuration is one problem, not one for each array that it shapes.
    """
    problems, stated_config = [], config
    layers = {layer for name in arrays if (layer := _layer_of(name)) is not None}
    if layers and layers == set(range(len(layers))) and len(layers) != config.num_hidden_layers:
        problems.append(
            f"num_hidden_layers is {config.num_hidden_layers} in the configuration, "
            f"but the checkpoint has layers 0 to {len(layers) - 1}"
        )
        config = replace(config, num_hidden_layers=len(layers))
    found: dict[str, set[int]] = {size: set() for size in _SIZES}
    for row in rows_for(config.num_hidden_layers):
        array, shape = arrays.get(_name(row, source)), _shape(row, source)
        if array is not None and array.ndim == len(shape):
            for size, number in zip(shape, array.shape, strict=True):
                if isinstance(size, str):
                    found[size].add(number)
    for size, numbers in found.items():
        stated = getattr(config, size)
        if len(numbers) == 1 and stated not in numbers:
            (number,) = numbers
            witness = next(r for r in rows_for(1) if size in r.shape and _name(r, source) in arrays)
            problems.append(
                f"{size} is {stated} in the configuration, but the checkpoint has {number}: "
                f"{_name(witness, source)} {arrays[_name(witness, source)].shape} for "
                f"{_name(witness, target)} {sizes(_shape(witness, target), stated_config)}"
            )
            # The heads may not divide another hidden size: that is not what is being checked here.
            heads = {"num_attention_heads": 1} if size == "hidden_size" else {}
            config = replace(config, **{size: number}, **heads)
    return problems, config


def _problems_of(
    row: Row, array: np.ndarray | None, config: BertConfig, source: Naming, target: Naming
) -> list[str]:
    name = _name(row, source)
    if array is None:
        return [f"{name} is missing; {_name(row, target)} would stay empty"]
    shape = _shape(row, source)
    if array.shape != sizes(shape, config):
        needed = sizes(_shape(row, target), config)
        rule = ", ".join(map(str, _shape(row, target)))
        return [
            f"{name} has shape {array.shape}, not {sizes(shape, config)}; "
            f"{_name(row, target)} needs {needed} = ({rule})"
        ]
    if array.dtype.kind != "f":
        return [f"{name} is of type {array.dtype}, not of floating point"]
    bad = array.size - np.count_nonzero(np.isfinite(array))
    return [f"{name} has {bad} value(s) that are NaN or infinite"] if bad else []


def _convert(array: np.ndarray, row: Row, source: Naming, target: Naming) -> np.ndarray:
    turned = array.T if row.operation is Operation.TRANSPOSE and source != target else array
    return np.ascontiguousarray(turned, dtype=np.float32)
