"""`python -m trainer.launch -np 2 --gloo python -m trainer pretrain …`: ranks that end in order.

It takes horovodrun's arguments and does what that does, but for four things. On SIGTERM, horovodrun kills
its ranks within seconds; here they are asked to stop, on this host and the others, and all stop at one step
(trainer.core.loop). Horovodrun's exit code is always 1; here it is that of the rank that ended first. A rank
of this host that is frozen is named. And its server listens on the interface that the ranks use alone.
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import sys
import threading
from collections.abc import Sequence
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

from command_line.outermost import OK, REFUSED, run_program
from trainer.exit_codes import STOPPED
from trainer.preemption import GRACE_SECONDS
from trainer.rank_processes import ask_to_stop, name_frozen_ranks, ranks_below
from trainer.run_name import name_run
from trainer.terminal import tell_ranks

if TYPE_CHECKING:
    from trainer.remote_ranks import RemoteRanks

NO_HOROVOD = (
    "Several processes (NP=2) need Horovod, which is not installed here. "
    "Build it with a C++ compiler: make setup HOROVOD=1"
)
_EXIT_CODE = re.compile(r"^Exit code: (\d+)$", re.MULTILINE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the ranks; the exit code, 2 where Horovod is not installed."""
    return run_program(lambda told: _launch(arguments))


def _launch(arguments: Sequence[str] | None) -> int:
    if importlib.util.find_spec("horovod") is None:
        sys.stderr.write(f"{NO_HOROVOD}\n")
        return REFUSED
    from horovod.runner import gloo_run
    from horovod.runner.launch import run_commandline

    from trainer.bound_servers import bind_servers
    from trainer.remote_ranks import RemoteRanks

    if arguments is not None:
        sys.argv[1:] = arguments
    tell_ranks()
    name_frozen_ranks()
    bind_servers()
    remote = RemoteRanks(name_run())
    gloo_run._exec_command_fn = remote.watched(gloo_run._exec_command_fn)
    gloo_run.register_shutdown_event = partial(_register_shutdown_event, remote)
    try:
        run_commandline()
    except RuntimeError as error:
        code = _EXIT_CODE.search(str(error))
        if code is None:
            raise
        if int(code[1]) != STOPPED:
            sys.stderr.write(f"{error}\n")
        return int(code[1])
    return OK


def _register_shutdown_event(remote: RemoteRanks) -> threading.Event:
    """In the place of horovodrun's own: its event, once set, kills the ranks. Ctrl-C still does."""
    kill = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        kill.set()

    asked = False

    def ask_ranks(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:  # launchers and process groups repeat it
            return
        asked = True
        ranks = ranks_below(os.getpid())
        ask_to_stop(ranks)
        # Without any ranks, none has started yet.
        deadline = threading.Timer(GRACE_SECONDS if remote.ask_to_stop() or ranks else 0, kill.set)
        deadline.daemon = True
        deadline.start()

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, ask_ranks)
    return kill


if __name__ == "__main__":
    sys.exit(main())
