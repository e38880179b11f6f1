"""Paths as Spark's readers take them.

A reader takes a path for a pattern (a Hadoop glob): `[a]` is then the folder `a`, which is another one. So
every path goes to a reader through `literal`, unless a user is meant to give a pattern, which no option is.
"""

from __future__ import annotations

import re

_SIGNS = re.compile(r"[\\*?\[\]{}]")


def literal(uri: str) -> str:
    """The pattern that stands for exactly this path or URI."""
    return _SIGNS.sub(r"\\\g<0>", uri)
