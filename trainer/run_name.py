"""A name for what one launcher starts: by it the ranks of a run are known on whatever host they are."""

from __future__ import annotations

import os
import uuid

RUN_VARIABLE = "MEDBERT_RUN"


def name_run() -> str:
    """Called by the launcher, before it starts ranks."""
    os.environ[RUN_VARIABLE] = uuid.uuid4().hex
    return os.environ[RUN_VARIABLE]


def run_name() -> str | None:
    """Called by a rank; None where another launcher, or none, started it."""
    return os.environ.get(RUN_VARIABLE) or None
