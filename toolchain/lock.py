"""Resolve requirements/*.in into requirements/requirements.lock: `make lock`, after a change of an .in file.

The versions are those that pip would install today on this machine, local parts left out (torch 2.13.0+cpu is
written 2.13.0), so resolve on a machine without a GPU: what CUDA adds is torch's own affair.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
REQUIREMENTS = os.path.join(ROOT, "requirements")
SOURCES = ("frameworks.in", "runtime.in", "dev.in")
HEADER = """\
# Written by `make lock` from frameworks.in, runtime.in and dev.in: change those. Installed by `make setup`.
# torch is installed first and by pip itself, since its further packages depend on the machine; horovod and
# petastorm are built (toolchain/wheels.py).
"""


def resolve() -> dict:
    """pip's report of what it would install into an empty environment."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--ignore-installed",
        "--quiet",
        "--report",
        "-",
    ]
    for source in SOURCES:
        command += ["--requirement", os.path.join(REQUIREMENTS, source)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def normal(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(report: dict) -> list[str]:
    """`name==version` and, as a comment, who asked for it."""
    installed = {normal(item["metadata"]["name"]): item["metadata"] for item in report["install"]}
    wanted_by: dict[str, set[str]] = {name: set() for name in installed}
    for name, metadata in installed.items():
        for requirement in metadata.get("requires_dist", []):
            wanted = normal(re.match(r"[A-Za-z0-9._-]+", requirement).group())
            if wanted in wanted_by and "extra ==" not in requirement:
                wanted_by[wanted].add(name)
    lines = []
    for name in sorted(installed):
        version = installed[name]["version"].partition("+")[0]
        users = ", ".join(sorted(wanted_by[name]))
        lines.append(f"{name}=={version}" + (f"  # for {users}" if users else ""))
    return lines


def main() -> None:
    lines = pins(resolve())
    with open(os.path.join(REQUIREMENTS, "requirements.lock"), "w", encoding="utf-8") as file:
        file.write(HEADER + "\n".join(lines) + "\n")
    print(f"{len(lines)} packages locked.")


if __name__ == "__main__":
    main()
