"""The trainer, but rank 1 hangs in its fifth step; for tests.

python hanging_trainer.py [NAMED_AFTER_SECONDS ENDED_AFTER_SECONDS] pretrain …
"""

from __future__ import annotations

import sys
import time
from typing import Any

from trainer import __main__ as command
from trainer import stall_check
from trainer.backends import backend_class
from trainer.core.world import detect_world

HANGING_STEP = 5


def main(arguments: list[str]) -> int:
    if arguments[0] != "pretrain":
        stall_check.NAMED_AFTER_SECONDS, stall_check.ENDED_AFTER_SECONDS = map(int, arguments[:2])
        arguments = arguments[2:]
    backend = next(word for word in arguments if word.startswith("--backend=")).partition("=")[2]
    Backend: Any = backend_class(backend)  # type: ignore[arg-type]
    train_step = Backend.train_step

    def hang(self: Any, packed: Any, totals: Any, learning_rate: float, step: int) -> Any:
        while step == HANGING_STEP and detect_world().rank == 1:
            time.sleep(1)
        return train_step(self, packed, totals, learning_rate, step)

    Backend.train_step = hang
    return command.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
