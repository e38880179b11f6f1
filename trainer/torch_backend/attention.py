"""Attention over packed rows: patients who share a row do not see each other."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from trainer.core.input.packing import Rows
from trainer.torch_backend.dropout import Dropout
from trainer.torch_backend.slots import Slots


def attend(
    projected: torch.Tensor, slots: Slots, heads: int, rate: float, dropout: Dropout | None
) -> torch.Tensor:
    """(N, 3 H), queries (scaled already), keys and values beside each other → (N, H).

    slots.hidden is of the same type. A GPU runs PyTorch's fused kernels, dropout included; those of a CPU
    know no dropout, and without them PyTorch takes many passes over memory.
    """
    if dropout is not None and projected.device.type == "cpu":
        return _Attention.apply(projected, slots, heads, rate, dropout)
    outputs = []
    for rows, hidden in zip(slots.rows, slots.hidden, strict=True):
        query, key, value = _by_head(projected, rows, (3, heads))
        output = scaled_dot_product_attention(
            query, key, value, hidden, dropout_p=rate if dropout else 0.0, scale=1.0
        )
        outputs.append(output.transpose(1, 2).flatten(0, 1).flatten(1))
    return torch.cat(outputs) if len(outputs) > 1 else outputs[0]


def _by_head(flat: torch.Tensor, rows: Rows, parts: tuple[int, ...]) -> torch.Tensor:
    """A view of (N, parts × size) with the slots of `rows`: (parts but heads, count, heads, width, size)."""
    taken = flat[rows.start : rows.stop].view(rows.count, rows.width, *parts, -1)
    return taken.permute(2, 0, 3, 1, 4) if len(parts) == 2 else taken.transpose(1, 2)


class _Attention(torch.autograd.Function):
    """For each kind of rows the products in one batch, everything else in as few passes as there can be."""

    @staticmethod
    def forward(
        ctx: Any, projected: torch.Tensor, slots: Slots, heads: int, rate: float, dropout: Dropout
    ) -> torch.Tensor:
        """See attend."""
        output = projected.new_empty(len(projected), projected.shape[1] // 3)
        saved: list[torch.Tensor | None] = []
        for rows, hidden in zip(slots.rows, slots.hidden, strict=True):
            query, key, value = _by_head(projected, rows, (3, heads)).flatten(1, 2).unbind()
            scores = torch.bmm(query, key.mT)
            scores.unflatten(0, (rows.count, heads)).add_(hidden)
            shares = scores.softmax(-1)
            kept = dropout.kept(shares.shape, rate, shares.dtype)
            found = torch.bmm(shares if kept is None else torch.mul(shares, kept, out=scores), value)
            target = _by_head(output, rows, (heads,))
            torch.mul(found.view(target.shape), dropout.scale(rate), out=target)
            saved += [query, key, value, shares, kept]
        ctx.save_for_backward(*saved)
        ctx.rows, ctx.heads, ctx.scale = slots.rows, heads, dropout.scale(rate)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        heads, saved = ctx.heads, ctx.saved_tensors
        result = gradient.new_empty(len(gradient), 3 * gradient.shape[1])
        for number, rows in enumerate(ctx.rows):
            query, key, value, shares, kept = saved[5 * number : 5 * number + 5]
            found = (_by_head(gradient, rows, (heads,)) * ctx.scale).flatten(0, 1)
            parts = torch.empty((3, *query.shape), dtype=query.dtype)
            torch.bmm((shares if kept is None else shares * kept).mT, found, out=parts[2])
            share_gradient = torch.bmm(found, value.mT)
            if kept is not None:
                share_gradient *= kept
            score_gradient = torch._softmax_backward_data(share_gradient, shares, -1, shares.dtype)
            torch.bmm(score_gradient, key, out=parts[0])
            torch.bmm(score_gradient.mT, query, out=parts[1])
            target = _by_head(result, rows, (3, heads))
            target.copy_(parts.view(target.shape))
        return result, None, None, None, None
