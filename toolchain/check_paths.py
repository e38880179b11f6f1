"""Refuse, before anything runs, paths in make's variables that the programs would refuse.

    check_paths.py NAME...

PATH_OF_<NAME> in the environment is the variable's value, TEXT_OF_<NAME> what was written for it.
"""

from __future__ import annotations

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from schemas.errors import ContractError
from schemas.locations import check_location

# `$$` and `$(NAME)` are meant so; a single `$` begins a variable's name of one letter.
_LOST = re.compile(r"\$(?![({])")


def check(name: str, value: str, text: str) -> None:
    """value: of the variable, not empty. text: before make expanded it. Raises ContractError."""
    if _LOST.search(text.replace("$$", "")):
        raise ContractError(
            f"{name} is written {text!r}",
            "make takes what follows a $ for the name of a variable",
            "write $$ for the sign, or $(NAME) for a variable",
        )
    check_location(name, value)


def main(names: list[str]) -> int:
    for name in names:
        value = os.environ.get(f"PATH_OF_{name}", "")
        if value:
            try:
                check(name, value, os.environ.get(f"TEXT_OF_{name}", ""))
            except ContractError as error:
                sys.stderr.write(f"error: {error}\n")
                return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
