"""The last step of the masked-code head: scores over the whole vocabulary, the largest array of all.

Its gradient is made by hand, a part of the vocabulary at a time: the part's scores, (part, M), stay in the
processor's cache until they have become their own gradient. The first pass sums e to the scores, the second
makes the gradients; the scores are computed anew for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from trainer.core.backend_rules import TOP_CODES, vocabulary_head_chunks, vocabulary_parts
from trainer.torch_backend.regions import EAGER, Regions


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
    regions: Regions = EAGER,
) -> HeadGradients:
    """Negative log-likelihood of labels (M,) given hidden (M, H), table (V, H), bias (V,).

    A label below 0 counts for nothing. M may be 0. precision: of what the matrix products read and give;
    softmax and sums are float32 in any case.
    """
    if not len(labels):
        return HeadGradients(bias.new_zeros(()), hidden, torch.zeros_like(table), torch.zeros_like(bias))
    is_label = labels >= 0
    true_codes = labels.clamp(min=0)
    read_hidden, read_table = hidden.to(precision), table.to(precision)
    parts = vocabulary_parts(len(labels), len(table), in_cache=table.device.type == "cpu")

    def scores_of(part: slice) -> torch.Tensor:
        return read_table[part] @ read_hidden.T

    log_sums = torch.stack([regions.log_sums(scores_of(part), bias[part]) for part in parts]).logsumexp(dim=0)
    true_scores = (read_hidden.float() * read_table[true_codes].float()).sum(dim=1) + bias[true_codes]
    loss_sum = ((log_sums - true_scores) * is_label).sum()

    log_sums.masked_fill_(~is_label, torch.inf)
    scaled_hidden = (hidden * scale).to(precision)
    hidden_gradient = torch.zeros_like(hidden)
    table_gradient, bias_gradient = torch.empty_like(table), torch.empty_like(bias)
    for part in parts:
        chances, bias_gradient[part] = regions.chances(scores_of(part), bias[part], log_sums)
        table_gradient[part] = chances @ scaled_hidden
        hidden_gradient += chances.T @ read_table[part]
    # What is left of the gradient, softmax minus one-hot.
    expected = is_label[:, None].to(hidden.dtype)
    table_gradient.index_add_(0, true_codes, hidden * expected, alpha=-scale)
    bias_gradient.index_add_(0, true_codes, -expected[:, 0]).mul_(scale)
    hidden_gradient.sub_(table[true_codes] * expected).mul_(scale)
    return HeadGradients(loss_sum, hidden_gradient, table_gradient, bias_gradient)


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
