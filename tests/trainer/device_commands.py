"""What a backend makes of a host's GPUs, without any. See backend_process.py."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np

from schemas.errors import ContractError
from tests.trainer.small_models import SMALL
from trainer.backends import BackendName, backend_class
from trainer.config import OptimizerConfig
from trainer.core.world import World


def second_rank_on_one_gpu(backend: BackendName, output: str) -> dict[str, Any]:
    """Its `error`."""
    with _one_gpu(backend):
        try:
            backend_class(backend)(SMALL, OptimizerConfig(), World(1, 2, 1), seed=1)
        except ContractError as error:
            return {"error": np.array(str(error))}
    return {}


def _one_gpu(backend: BackendName) -> Any:
    if backend == "tensorflow":
        return patch("tensorflow.config.list_physical_devices", lambda kind: ["the only one"])
    return patch.multiple("torch.cuda", is_available=lambda: True, device_count=lambda: 1)
