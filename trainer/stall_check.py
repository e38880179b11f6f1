"""How long a run waits for a rank that does not answer."""

from __future__ import annotations

import os

NAMED_AFTER_SECONDS = 60
"""While the first rank saves, which may take minutes, the others wait for it."""
ENDED_AFTER_SECONDS = 600


def limit_waiting() -> None:
    """Have Horovod name a rank for which the others wait, and end the run in the end; it would warn for ever.

    Called in every rank before Horovod starts, whatever launched it. The user's own settings win, those of
    horovodrun's options among them.
    """
    os.environ.setdefault("HOROVOD_STALL_CHECK_TIME_SECONDS", str(NAMED_AFTER_SECONDS))
    os.environ.setdefault("HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", str(ENDED_AFTER_SECONDS))
