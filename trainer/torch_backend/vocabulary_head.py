"""The last step of the masked-code head: scores over the whole vocabulary, (M, V), the largest array of all.

It is computed in chunks, and its gradient by hand: a chunk's scores are overwritten by their own gradient,
and the gradient of the tied embedding table is accumulated in place. Nothing of size M × V outlives a
chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from trainer.core.backend_rules import TOP_CODES, vocabulary_head_chunks


class HeadGradients(NamedTuple):
    """loss_sum (): nats; the rest are the gradients of scale × loss_sum."""

    loss_sum: torch.Tensor
    hidden: torch.Tensor
    """(M, H)"""
    table: torch.Tensor
    """(V, H)"""
    bias: torch.Tensor
    """(V,)"""


@torch.no_grad()
def loss_and_gradients(
    hidden: torch.Tensor,
    table: torch.Tensor,
    bias: torch.Tensor,
    labels: torch.Tensor,
    scale: float,
    precision: torch.dtype = torch.float32,
) -> HeadGradients:
    """Negative log-likelihood of labels (M,) given hidden (M, H), table (V, H), bias (V,). M may be 0.

    precision: of what the matrix products read; scores, softmax and gradients are float32 in any case.
    """
    hidden_gradient = torch.empty_like(hidden)
    table_gradient = torch.empty_like(table) if len(labels) else torch.zeros_like(table)
    bias_gradient = torch.zeros_like(bias)
    loss_sum = torch.zeros((), device=hidden.device)
    read_hidden, read_table = hidden.to(precision), table.to(precision)
    for rows, log_probs in _log_probs(read_hidden, read_table, bias):
        true_codes = labels[rows, None]
        loss_sum -= log_probs.gather(1, true_codes).sum()
        gradient = log_probs.exp_().scatter_add_(
            1, true_codes, torch.full_like(true_codes, -1, dtype=hidden.dtype)
        )
        bias_gradient.add_(gradient.sum(dim=0), alpha=scale)
        gradient = gradient.to(precision)
        hidden_gradient[rows] = gradient @ read_table
        if precision == table.dtype:
            table_gradient.addmm_(gradient.T, hidden[rows], beta=0 if rows.start == 0 else 1, alpha=scale)
        else:
            products = gradient.T @ read_hidden[rows]
            if rows.start == 0:
                table_gradient.copy_(products).mul_(scale)
            else:
                table_gradient.add_(products, alpha=scale)
    return HeadGradients(loss_sum, hidden_gradient.mul_(scale), table_gradient, bias_gradient)


@torch.no_grad()
def loss_and_top_codes(
    hidden: torch.Tensor, table: torch.Tensor, bias: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed negative log-likelihood (), and the likeliest codes (M, at most TOP_CODES), best first."""
    most = min(TOP_CODES, len(table))
    loss_sum = torch.zeros((), device=hidden.device)
    top_codes = torch.empty((len(labels), most), dtype=torch.int64, device=hidden.device)
    for rows, log_probs in _log_probs(hidden, table, bias):
        loss_sum -= log_probs.gather(1, labels[rows, None]).sum()
        top_codes[rows] = log_probs.topk(most, dim=1).indices
    return loss_sum, top_codes


@torch.no_grad()
def all_log_probs(hidden: torch.Tensor, table: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """(M, V) in float32. hidden and table may be of a lower precision."""
    if hidden.dtype == bias.dtype:
        return torch.log_softmax(torch.addmm(bias, hidden, table.T), dim=1)
    return torch.log_softmax((hidden @ table.T).float().add_(bias), dim=1)


def _log_probs(
    hidden: torch.Tensor, table: torch.Tensor, bias: torch.Tensor
) -> Iterator[tuple[slice, torch.Tensor]]:
    for rows in vocabulary_head_chunks(len(hidden), len(table)):
        yield rows, all_log_probs(hidden[rows], table, bias)
