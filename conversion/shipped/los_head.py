"""The prolonged-stay head by the model's own setting. It needs torch and transformers only.

A copy of this file lies in every model folder.

    model = AutoModelForPreTraining.from_pretrained(folder)
    logits = los_logits(model, input_ids, attention_mask, token_type_ids)     # (B, 2), class 1: prolonged

`config.los_pooling` says what the head reads:

- first: the pooler's output of the first token. It is the standard head, `seq_relationship_logits`.
- mean, sum: the mean or the sum of the encoder's output over the patient's real tokens (attention_mask 1),
  straight into the head. The pooler has no part in it, so `seq_relationship_logits` is WRONG.

The original Med-BERT's run_EHRpretraining_QA2Seq sums over padding, too; this sums over real tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import BertForPreTraining


def los_logits(
    model: BertForPreTraining,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    token_type_ids: torch.Tensor,
) -> torch.Tensor:
    """Logits (B, 2) of a stay of 7 days or less, and of a longer one.

    input_ids, attention_mask, token_type_ids (the visit numbers): (B, T). Raises ValueError for an
    unknown setting.
    """
    encoded = model.bert(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
    pooled = pool(
        getattr(model.config, "los_pooling", "first"),
        encoded.last_hidden_state,
        encoded.pooler_output,
        attention_mask,
    )
    return model.cls.seq_relationship(pooled)


def pool(
    los_pooling: str,
    sequence_output: torch.Tensor,
    pooled_output: torch.Tensor,
    attention_mask: torch.Tensor,
) -> torch.Tensor:
    """What the head reads, (B, H), of the encoder's output (B, T, H) and the pooler's (B, H)."""
    if los_pooling == "first":
        return pooled_output
    if los_pooling not in ("mean", "sum"):
        raise ValueError(f"los_pooling is {los_pooling}. Rule: first, mean or sum. Remedy: mend config.json")
    real = attention_mask.unsqueeze(-1).to(sequence_output.dtype)  # (B, T, 1)
    summed = (sequence_output * real).sum(dim=1)
    return summed if los_pooling == "sum" else summed / real.sum(dim=1).clamp(min=1)
