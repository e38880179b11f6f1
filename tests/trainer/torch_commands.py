"""What backend_process.py can be told to run of PyTorch's own; see backend_commands.py."""

from __future__ import annotations

import numpy as np

from tests.trainer.small_models import join, make_batch
from trainer.config import MAX_SLOTS
from trainer.core.input.slots import pack_batch


def attention(backend: str, folder: str) -> dict[str, np.ndarray]:
    """Output and gradient of attention with dropout: ours, and plainly written out."""
    import torch

    from trainer.torch_backend.attention import attend
    from trainer.torch_backend.dropout import Dropout
    from trainer.torch_backend.slots import packed_slots

    heads, size, rate = 3, 8, 0.3
    cpu = torch.device("cpu")
    ((piece,),) = pack_batch(join(make_batch(1, 8, 17), make_batch(2, 5, 90)), MAX_SLOTS).parts
    slots = packed_slots(piece, cpu)
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
