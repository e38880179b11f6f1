"""`python -m trainer.launch -np 2 --gloo python -m trainer pretrain …`: ranks that end in order.

It takes horovodrun's arguments and does what that does, but for four things. On SIGTERM, horovodrun kills
its ranks within seconds; here those of this host are asked to stop, and all stop at one step
(trainer.core.loop). Horovodrun's exit code is always 1; here it is that of the rank that ended first. Where a
rank hangs, horovodrun warns for ever; here the run ends once a rank has been missing for ten minutes. And a
rank that is frozen is named.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from horovod.runner import gloo_run
from horovod.runner.launch import run_commandline

from trainer.exit_codes import STOPPED
from trainer.rank_processes import name_frozen_ranks, ranks_below
from trainer.terminal import tell_ranks

STALL_CHECK = {
    "HOROVOD_STALL_CHECK_TIME_SECONDS": "60",
    "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": "600",
}
"""When Horovod names a rank for which the others wait, and when it ends the run; horovodrun's options win.

While the first rank saves, which may take minutes, the others wait for it.
"""

GRACE_SECONDS = 60
"""After SIGTERM, ranks that have not stopped by then are killed."""

_EXIT_CODE = re.compile(r"^Exit code: (\d+)$", re.MULTILINE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the ranks; the exit code."""
    if arguments is not None:
        sys.argv[1:] = arguments
    for name, seconds in STALL_CHECK.items():
        os.environ.setdefault(name, seconds)
    tell_ranks()
    name_frozen_ranks()
    gloo_run.register_shutdown_event = _register_shutdown_event
    try:
        run_commandline()
    except RuntimeError as error:
        code = _EXIT_CODE.search(str(error))
        if code is None:
            raise
        if int(code[1]) != STOPPED:
            sys.stderr.write(f"{error}\n")
        return int(code[1])
    return 0


def _register_shutdown_event() -> threading.Event:
    """In the place of horovodrun's own: its event, once set, kills the ranks. Ctrl-C still does."""
    kill = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        kill.set()

    def ask_ranks(number: int, frame: FrameType | None) -> None:
        ranks = ranks_below(os.getpid())
        for rank in ranks:
            rank.terminate()
        # Without any here, all are on other hosts, or not yet started.
        deadline = threading.Timer(GRACE_SECONDS if ranks else 0, kill.set)
        deadline.daemon = True
        deadline.start()

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, ask_ranks)
    return kill


if __name__ == "__main__":
    sys.exit(main())
