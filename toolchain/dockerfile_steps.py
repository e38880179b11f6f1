"""Run a Dockerfile's steps in a folder that is a machine's /, without Docker: `run_steps`.

Where no image can be built, this shows that the steps do what they should. It knows what our Dockerfile uses
and refuses the rest: FROM, ARG, ENV, WORKDIR, USER, COPY (--chown; of the folder that the Dockerfile is in,
without what .dockerignore names), RUN and CMD. Run as root; the caller makes what Docker
does: /proc, /dev/shm, /etc/resolv.conf, and /etc/hosts with localhost in it.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CONTINUED = re.compile(r"\\[ \t]*\n(?:[ \t]*#.*\n)*")
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def in_root(
    root: str, user: str, environment: Mapping[str, str], folder: str, command: list[str]
) -> list[str]:
    """The command, on this machine, that runs one in a folder that is a machine's /.

    user: a name or number, or both with the group's, as chroot has them. folder: where it runs, inside.
    """
    settings = [f"{name}={value}" for name, value in environment.items()]
    shell = ["sh", "-c", 'cd "$0" && exec "$@"', folder]
    return ["chroot", f"--userspec={user}", root, "env", "-i", *settings, *shell, *command]


class Instruction(NamedTuple):
    """A line of a Dockerfile: its first word, in capitals, and the rest."""

    name: str
    words: str


@dataclass
class Image:
    """What the steps have made.

    root: the folder that is its /. base: of FROM. environment: of ENV. user: a name or number, "" is root.
    folder: of WORKDIR. command: of CMD.
    """

    root: str
    base: str = ""
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    user: str = ""
    folder: str = "/"
    command: list[str] = field(default_factory=list)

    def start(self, command: list[str], environment: Mapping[str, str]) -> list[str]:
        """The command, on this machine, that runs one in the image, as `docker run` would."""
        user, group, home = self.account()
        settings = {"HOME": home} | self.environment | dict(environment)
        return in_root(self.root, f"{user}:{group}", settings, self.folder, command)

    def account(self) -> tuple[int, int, str]:
        """Number, group's number and home of the user. Raises ValueError where /etc/passwd has none."""
        with open(os.path.join(self.root, "etc/passwd"), encoding="utf-8") as file:
            rows = [line.rstrip("\n").split(":") for line in file]
        for name, _, user, group, _, home, *_ in rows:
            if (self.user or "root") in (name, user):
                return int(user), int(group), home
        raise ValueError(f"/etc/passwd of the image has no user {self.user}. Make it in a step before USER.")


def run_steps(
    dockerfile: str,
    root: str,
    build_args: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
    run: Callable[[list[str]], None] | None = None,
) -> Image:
    """Run all steps in `root`, which is what FROM names.

    Args:
        dockerfile: its path; the folder that it is in is what COPY copies from.
        root: a folder with a minimal system.
        build_args: values for ARG.
        environment: more variables for RUN, which no step and no image sees otherwise: a proxy, certificates.
        run: runs a command on this machine (default: subprocess.run, with an error where it fails).

    Raises ValueError for an instruction, or a build argument, that is not known.
    """
    run = run or (lambda command: subprocess.run(command, check=True, stdin=subprocess.DEVNULL))
    with open(dockerfile, encoding="utf-8") as file:
        steps = instructions(file.read())
    check_arguments(steps, build_args)
    context = os.path.dirname(os.path.abspath(dockerfile))
    image, arguments = Image(root), {}
    for name, words in steps:
        values = arguments | image.environment
        if name == "ARG":
            key, _, default = substitute(words, values).partition("=")
            arguments[key] = build_args.get(key, default)
        elif name == "FROM":
            # What was declared before it holds for it alone.
            image.base, arguments = substitute(words, values), {}
        elif name == "ENV":
            pairs = (pair.split("=", 1) for pair in shlex.split(substitute(words, values)))
            image.environment |= dict(pairs)
        elif name == "WORKDIR":
            image.folder = os.path.normpath(os.path.join(image.folder, substitute(words, values)))
            os.makedirs(inside(image, image.folder), exist_ok=True)
        elif name == "USER":
            image.user = substitute(words, values)
        elif name == "COPY":
            copy(image, context, substitute(words, values))
        elif name == "RUN":
            run(image.start(["/bin/sh", "-c", words], arguments | dict(environment or {})))
        elif name == "CMD":
            image.command = json.loads(words)
        else:
            raise ValueError(f"{dockerfile} has {name}, an instruction not known here. Add it to run_steps.")
    return image


def instructions(text: str) -> list[Instruction]:
    """The instructions, each as one line. Raises ValueError for an option other than --chown."""
    lines = [line.strip() for line in CONTINUED.sub(" ", text).splitlines()]
    found = []
    for line in lines:
        if not line or line.startswith("#"):
            continue
        name, _, words = line.partition(" ")
        if flags := [word for word in words.split() if word.startswith("--")]:
            if name.upper() == "COPY" and not all(flag.startswith("--chown=") for flag in flags):
                raise ValueError(f"COPY has {' '.join(flags)}; of its options only --chown is known here.")
            if name.upper() in ("RUN", "FROM") and words.startswith("--"):
                raise ValueError(f"{name} has the option {flags[0]}, which is not known here.")
        found.append(Instruction(name.upper(), words.strip()))
    return found


def check_arguments(steps: list[Instruction], build_args: Mapping[str, str]) -> None:
    """Raises ValueError for a build argument that no ARG declares, as Docker warns."""
    declared = {words.partition("=")[0] for name, words in steps if name == "ARG"}
    if unknown := sorted(build_args.keys() - declared):
        raise ValueError(f"No ARG declares {', '.join(unknown)}. There are {', '.join(sorted(declared))}.")


def substitute(words: str, values: Mapping[str, str]) -> str:
    """With the values of its variables; one that is not there is empty."""
    return VARIABLE.sub(lambda found: values.get(found[1] or found[2], ""), words)


def inside(image: Image, path: str) -> str:
    return os.path.join(image.root, path.lstrip("/"))


def copy(image: Image, context: str, words: str) -> None:
    """COPY: of a folder its content; a target that ends with / is a folder."""
    flags = [word for word in words.split() if word.startswith("--")]
    *sources, target = [word for word in words.split() if not word.startswith("--")]
    owner, group = owner_of(image, flags[0].partition("=")[2]) if flags else (0, 0)
    place = os.path.join(image.folder, target)
    for path, relative in copied_files(context, sources):
        goal = inside(image, os.path.join(place, relative) if target.endswith(("/", ".")) else place)
        make_folders(image.root, os.path.dirname(goal), owner, group)
        if os.path.lexists(goal):
            os.remove(goal)
        shutil.copy2(path, goal, follow_symlinks=False)
        os.chown(goal, owner, group, follow_symlinks=False)


def owner_of(image: Image, owner: str) -> tuple[int, int]:
    """Numbers of user and group of a --chown, which names a user; a bare number is the group's too."""
    if owner.isdigit():
        return int(owner), int(owner)
    user, group, _ = Image(image.root, user=owner).account()
    return user, group


def make_folders(root: str, folder: str, owner: int, group: int) -> None:
    """Those that are missing, with this owner. What is there keeps its own."""
    if os.path.isdir(folder):
        return
    make_folders(root, os.path.dirname(folder), owner, group)
    os.mkdir(folder)
    os.chown(folder, owner, group)


def copied_files(context: str, sources: list[str]) -> Iterator[tuple[str, str]]:
    """(path, path below the target) of each file that these sources of a COPY name.

    Raises ValueError for a source without any.
    """
    ignored = ignore_rules(context)
    for source in sources:
        found = False
        for start in sorted(glob.glob(os.path.join(glob.escape(context), source))):
            start = os.path.normpath(start)
            for path in files_below(start, context, ignored):
                found = True
                yield path, os.path.relpath(path, start) if os.path.isdir(start) else os.path.basename(path)
        if not found:
            raise ValueError(f"COPY names {source}: it is not in {context}, or .dockerignore leaves it out.")


def files_below(start: str, context: str, ignored: Callable[[str], bool]) -> Iterator[str]:
    """A file itself, or the files of a folder, that are not ignored."""
    relative = os.path.relpath(start, context)
    if relative != "." and ignored(relative):
        return
    if os.path.islink(start) or not os.path.isdir(start):
        yield start
        return
    for name in sorted(os.listdir(start)):
        yield from files_below(os.path.join(start, name), context, ignored)


def ignore_rules(context: str) -> Callable[[str], bool]:
    """Whether .dockerignore leaves a path out. Raises ValueError for exceptions (!), which it has none of."""
    path = os.path.join(context, ".dockerignore")
    lines = []
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            lines = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    if any(line.startswith("!") for line in lines):
        raise ValueError(f"{path} has an exception (!), which is not known here.")
    patterns = [re.compile(pattern_of(os.path.normpath(line).lstrip("/"))) for line in lines]
    return lambda relative: any(pattern.fullmatch(relative) for pattern in patterns)


def pattern_of(line: str) -> str:
    """The regular expression of a line: ** is any folders, * and ? do not cross a /."""
    parts = {"**/": r"(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    words = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]*\])", line)
    return "".join(parts.get(word, word if word.startswith("[") else re.escape(word)) for word in words)
