"""What torch.compile can make into few passes over memory: the network between one attention and the next,
and what the vocabulary head does with its scores.

Attention stays outside: its rows differ from step to step, and a GPU's kernels for it are fused already. In
here only the sizes of one or two axes change, so a function compiled once serves all layers and steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.functional import embedding, layer_norm, linear
from torch.utils._pytree import tree_leaves

from schemas.errors import ContractError
from trainer.torch_backend.dropout import Dropout, kept_of

Watch = Callable[[torch.nn.Module, torch.Tensor, torch.Tensor], None]
"""Is shown each module's input and output."""


class Style(NamedTuple):
    """What all layers have in common."""

    precision: torch.dtype
    """Of the layers between the embeddings and the heads."""
    rate: float
    """Of dropout."""
    heads: int
    watch: Watch | None = None

    def seen(self, module: torch.nn.Module, read: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        if self.watch:
            self.watch(module, read, made)
        return made

    def dense(self, dense: torch.nn.Linear, values: torch.Tensor) -> torch.Tensor:
        weight, bias = dense.weight.to(self.precision), dense.bias.to(self.precision)
        return self.seen(dense, values, linear(values, weight, bias))


class Regions(NamedTuple):
    """The functions below, or what torch.compile made of them."""

    embed: Any
    project: Any
    finish_layer: Any
    log_sums: Any
    chances: Any


def embed(
    embeddings: torch.nn.Module,
    words: torch.Tensor,
    visit_numbers: torch.Tensor,
    positions: torch.Tensor,
    bits: torch.Tensor | None,
    style: Style,
) -> torch.Tensor:
    """words (N, H), visit_numbers and positions (N,) → (N, H). bits (N, H): of Dropout."""
    visits = embedding(visit_numbers, embeddings.token_type_embeddings.weight)
    places = embedding(positions, embeddings.position_embeddings.weight)
    total = words + visits + places
    hidden = style.seen(embeddings.LayerNorm, total, embeddings.LayerNorm(total))
    if bits is not None:
        hidden = hidden * (kept_of(bits, style.rate, hidden.dtype) * Dropout.scale(style.rate))
    return hidden.to(style.precision)


def project(attention: torch.nn.Module, hidden: torch.Tensor, style: Style) -> torch.Tensor:
    """(N, H) → (N, 3 H): queries, scaled, keys and values."""
    query, key, value = attention.query, attention.key, attention.value
    scale = 1 / math.sqrt(query.weight.shape[0] // style.heads)
    weights = torch.cat([query.weight * scale, key.weight, value.weight])
    biases = torch.cat([query.bias * scale, key.bias, value.bias])
    return linear(hidden, weights.to(style.precision), biases.to(style.precision))


def finish_layer(
    layer: torch.nn.Module,
    context: torch.Tensor,
    hidden: torch.Tensor,
    bits: tuple[torch.Tensor | None, torch.Tensor | None],
    style: Style,
) -> torch.Tensor:
    """What attention found (N, H) and what it read (N, H) → the layer's output (N, H). bits: of Dropout."""
    attended = _add(layer.attention.output, context, hidden, bits[0], style)
    inner = layer.intermediate.intermediate_act_fn(style.dense(layer.intermediate.dense, attended))
    return _add(layer.output, inner, attended, bits[1], style)


def _add(
    output: torch.nn.Module,
    values: torch.Tensor,
    residual: torch.Tensor,
    bits: torch.Tensor | None,
    style: Style,
) -> torch.Tensor:
    """(N, any) → (N, H): dense, dropout, plus the residual, layer norm."""
    values = style.dense(output.dense, values)
    if bits is None:
        total = residual + values
    else:
        kept = kept_of(bits, style.rate, values.dtype)
        total = torch.addcmul(residual, values, kept, value=Dropout.scale(style.rate))
    norm = output.LayerNorm
    weight, bias = norm.weight.to(style.precision), norm.bias.to(style.precision)
    return style.seen(norm, total, layer_norm(total, norm.normalized_shape, weight, bias, norm.eps))


def log_sums(scores: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Log of the sums of e to the scores: (part, M), which are used up, and bias (part,) → (M,) float32."""
    return _biased(scores, bias).logsumexp(dim=0)


def chances(
    scores: torch.Tensor, bias: torch.Tensor, log_sums: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Softmax (part, M) in the scores' precision, and its sums over M (part,) in float32.

    scores (part, M) are used up; bias (part,); log_sums (M,): over the whole vocabulary.
    """
    found = _biased(scores, bias)
    found = (found - log_sums).exp() if torch.compiler.is_compiling() else found.sub_(log_sums).exp_()
    return found.to(scores.dtype), found.sum(dim=1)


def _biased(scores: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """float32, whatever the scores' precision"""
    if torch.compiler.is_compiling():
        return scores.float() + bias[:, None]
    return scores.float().add_(bias[:, None])


EAGER = Regions(embed, project, finish_layer, log_sums, chances)


def compiled(device: torch.device) -> Regions:
    """Compiled at their first call. Raises ContractError where that cannot be."""
    _check_compiler(device)
    slots, both = (0,), (0, 1)
    axes = Regions(slots, slots, slots, both, both)
    return Regions(*map(_compiled, EAGER, axes))


def _compiled(function: Callable[..., Any], axes: Sequence[int]) -> Callable[..., Any]:
    """axes: those whose sizes change from call to call, of the tensors that have them."""
    fast = torch.compile(function, dynamic=False, fullgraph=True)

    def call(*given: Any) -> Any:
        for value in tree_leaves(given):
            if isinstance(value, torch.Tensor):
                torch._dynamo.mark_dynamic(value, axes[: value.ndim])
        return fast(*given)

    return call


def _check_compiler(device: torch.device) -> None:
    """Raises ContractError where torch.compile has no compiler for the device."""
    from torch._inductor.cpp_builder import get_cpp_compiler  # a second to import
    from torch._inductor.exc import InvalidCxxCompiler
    from torch.utils._triton import has_triton

    found = None
    try:
        get_cpp_compiler()
        if device.type == "cuda" and not has_triton():
            found = "Triton, which compiles for a GPU, is missing"
    except InvalidCxxCompiler:
        found = "no C++ compiler is found"
    if found:
        raise ContractError(
            f"compile is on, and {found}",
            "torch.compile writes code and compiles it",
            "install g++ (or set CXX), on a GPU PyTorch's build for CUDA; or leave compile off",
        )
