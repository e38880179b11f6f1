"""What backend_process.py can be told to run of PyTorch's own; see backend_commands.py."""

from __future__ import annotations

from unittest import mock

import numpy as np

from tests.trainer.small_models import LEARNING_RATE, SMALL, STILL, make_block, totals_of, under
from trainer.config import OptimizerConfig
from trainer.core import backend_rules
from trainer.core.world import detect_world


def precisions(backend: str, folder: str) -> dict[str, np.ndarray]:
    """A step's gradients and the losses of 30 steps, in float32 and in bfloat16."""
    from trainer.torch_backend.backend import TorchBackend

    blocks = [make_block(1, 8, 17), make_block(2, 3, 30)]
    results: dict[str, np.ndarray] = {}
    for precision in ("float32", "bfloat16"):
        model = TorchBackend(STILL, OptimizerConfig(), detect_world(), 0, precision=precision)
        gradients = model.named_gradients(blocks, totals_of(blocks), 1)
        with mock.patch.object(backend_rules, "_MAX_LOGITS", 4 * SMALL.vocab_size):
            in_chunks = model.named_gradients(blocks, totals_of(blocks), 1)
        losses = [
            [step.mlm_loss, step.los_loss]
            for step in (model.train_step(blocks, totals_of(blocks), LEARNING_RATE, n + 1) for n in range(30))
        ]
        results |= under(f"{precision}/gradients", gradients) | {f"{precision}/losses": np.array(losses)}
        results |= under(f"{precision}/in_chunks", in_chunks)
        results |= {f"{precision}/is_float32": np.array([w.dtype == np.float32 for w in gradients.values()])}
    return results


def attention(backend: str, folder: str) -> dict[str, np.ndarray]:
    """Output and gradient of attention with dropout: ours, and plainly written out."""
    import torch

    from trainer.torch_backend.attention import attend
    from trainer.torch_backend.dropout import Dropout
    from trainer.torch_backend.slots import pack_slots

    heads, size, rate = 3, 8, 0.3
    cpu = torch.device("cpu")
    slots = pack_slots([make_block(1, 8, 17), make_block(2, 5, 90)], cpu)
    generator = torch.Generator().manual_seed(0)
    num_slots = len(slots.input_ids)
    projected = torch.randn(num_slots, 3 * heads * size, generator=generator, requires_grad=True)
    weights = torch.randn(num_slots, heads * size, generator=generator)
    results = {"widths": np.array([rows.width for rows in slots.rows])}

    output = attend(projected, slots, heads, rate, Dropout(7, cpu))
    (gradient,) = torch.autograd.grad((output * weights).sum(), projected)
    results |= {"output": output.detach().numpy(), "gradient": gradient.numpy()}

    drawn, outputs = Dropout(7, cpu), []
    for rows in slots.rows:
        parts = projected[rows.start : rows.stop].view(rows.count, rows.width, 3, heads, size)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        patients = slots.patients[rows.start : rows.stop].view(rows.count, 1, rows.width)
        apart = patients[..., None] != patients[..., None, :]
        shares = (query @ key.mT).masked_fill(apart, -torch.inf).softmax(-1)
        kept = drawn.kept((rows.count * heads, rows.width, rows.width), rate, torch.float32)
        assert kept is not None
        dropped = shares * kept.view(shares.shape) * Dropout.scale(rate)
        outputs.append((dropped @ value).transpose(1, 2).reshape(-1, heads * size))
    plain = torch.cat(outputs)
    (plain_gradient,) = torch.autograd.grad((plain * weights).sum(), projected)
    return results | {"plain_output": plain.detach().numpy(), "plain_gradient": plain_gradient.numpy()}


def dropout(backend: str, folder: str) -> dict[str, np.ndarray]:
    """What is kept, for two seeds and at two calls of each."""
    import torch

    from trainer.torch_backend.dropout import Dropout

    nothing = Dropout(1, torch.device("cpu")).kept((3, 3), 0.0, torch.float32)
    results = {"nothing_dropped": np.array(nothing is None)}
    for seed in (1, 2):
        drawn = Dropout(seed, torch.device("cpu"))
        for call in (1, 2):
            kept = drawn.kept((301, 333), 0.1, torch.bfloat16)
            assert kept is not None
            results[f"{seed}/{call}"] = kept.float().numpy()
    again = Dropout(1, torch.device("cpu")).kept((301, 333), 0.1, torch.bfloat16)
    assert again is not None
    return results | {"again": again.float().numpy(), "scale": np.array(Dropout.scale(0.1))}
