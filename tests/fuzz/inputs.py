"""Inputs of every kind, changed at random, read by the project's own readers: nobody gets a traceback, and
nothing is read that is not there.

    python -m tests.fuzz.inputs --inputs 10000 --seed 7

Each is accepted and right (it means what the good one means, or what a reader of the tests' own finds in it),
refused with a message, a traceback, or silently different. The last two must not happen: exit status 1.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import OneMessage
from tests.fuzz import tf_checkpoints
from tests.fuzz.input_kinds import Kind, every_kind

ACCEPTED, REFUSED, TRACEBACK, DIFFERENT = "accepted", "refused", "traceback", "different"
OUTCOMES = {
    ACCEPTED: "accepted and right",
    REFUSED: "refused with a clear message",
    TRACEBACK: "traceback",
    DIFFERENT: "silently different",
}
SECONDS_AT_MOST = 20
TENSORFLOW = "TensorFlow checkpoint"
_EXAMPLES_SHOWN = 5


@dataclass
class Result:
    """Of one kind: outcome → inputs, and examples of those that must not be."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, outcome: str, example: str = "") -> None:
        self.counts[outcome] += 1
        if outcome in (TRACEBACK, DIFFERENT):
            self.examples.append(f"{outcome}: {example}")

    @property
    def is_good(self) -> bool:
        return not self.examples


class TooLong(BaseException):
    """A reader did not come to an end."""


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def end(*_: object) -> None:
        raise TooLong

    # Of this process's own time: on a busy machine the clock says nothing.
    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS_AT_MOST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def run_kind(kind: Kind, folder: str, numbers: range, seed: int, result: Result) -> None:
    """Change the good files once for each number, and read them. folder: a new one, to work in."""
    _write(folder, kind.files)
    good = kind.read(folder)
    assert kind.agrees is None or kind.agrees(kind.files, good), f"{kind.name}: the good one is misread"
    for number in numbers:
        chance = random.Random(f"{seed}/{kind.name}/{number}")
        path = chance.choice(sorted(kind.changed))
        files = dict(kind.files)
        files[path] = chance.choice(kind.changed[path])(chance, files[path])
        is_sealed = kind.seal is not None and chance.random() < 0.5
        if is_sealed and kind.seal:
            files = kind.seal(files)
        _write(folder, {name: of for name, of in files.items() if of != kind.files[name]})
        # What is sealed, or has no seal, may mean something else, if that is what stands there.
        by_itself = kind.agrees if is_sealed or kind.seal is None else None
        outcome, words = _outcome(kind, folder, files, good, by_itself)
        result.add(outcome, f"{kind.name} {number}, {path}{' sealed' * is_sealed}: {words}")
        _write(folder, {name: kind.files[name] for name, of in files.items() if of != kind.files[name]})


def _outcome(kind: Kind, folder: str, files: Mapping[str, bytes], good: Any, agrees: Any) -> tuple[str, str]:
    said = io.StringIO()
    try:
        with _time_limit(), contextlib.redirect_stderr(said):
            found = kind.read(folder)
    except OneMessage as error:
        is_clear = "Rule: " in str(error) and "\n" not in str(error)
        return (REFUSED, "") if is_clear else (TRACEBACK, f"an unclear message: {error}")
    except SystemExit as error:  # jsonargparse's own message
        is_clear = error.code == 2 and "error: " in said.getvalue()
        return (REFUSED, "") if is_clear else (TRACEBACK, said.getvalue())
    except (Exception, TooLong):
        return TRACEBACK, traceback.format_exc()
    try:
        # Where it can be told what the files say, it is not enough to read what the good ones said.
        is_right = agrees(files, found) if agrees else found == good
    except Exception:
        return DIFFERENT, f"the tests' reader cannot read it: {traceback.format_exc()}"
    return (ACCEPTED, "") if is_right else (DIFFERENT, f"{str(found)[:1500]}")


def _write(folder: str, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(content)


def run(inputs: int, seed: int, only: str = "", tensorflow: bool = True) -> dict[str, Result]:
    """Kind → what became of its share of so many inputs. only: a kind's name."""
    scratch = tempfile.mkdtemp(prefix="fuzz-")
    results: dict[str, Result] = {}
    try:
        kinds = [kind for kind in every_kind(f"{scratch}/good") if only in ("", kind.name)]
        with_tensorflow = tensorflow and only in ("", TENSORFLOW)
        shares = sum(kind.share for kind in kinds) + with_tensorflow
        for place, kind in enumerate(kinds):
            result = results.setdefault(kind.name, Result())
            first = result.counts.total()
            numbers = range(first, first + max(1, round(inputs * kind.share / shares)))
            run_kind(kind, f"{scratch}/{place}", numbers, seed, result)
        if with_tensorflow:
            result = results.setdefault(TENSORFLOW, Result())
            for outcome, words in tf_checkpoints.outcomes(
                f"{scratch}/tf", seed, max(1, round(inputs / shares))
            ):
                result.add(outcome, f"{TENSORFLOW} {result.counts.total()}: {words}")
    finally:
        shutil.rmtree(scratch)
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz.inputs", description="Changed inputs of every kind through their readers."
    )
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default="", help="one kind, by its name in the table")
    options = parser.parse_args(arguments)
    logging.disable(logging.ERROR)
    results = run(options.inputs, options.seed, options.only)
    print(f"| kind | inputs | {' | '.join(OUTCOMES.values())} |")
    print("|---|---|---|---|---|---|")
    in_all = Result()
    for name, result in results.items():
        _print(name, result)
        in_all.counts.update(result.counts)
        for example in result.examples[:_EXAMPLES_SHOWN]:
            print(example, file=sys.stderr)
        in_all.examples += result.examples
    _print("all", in_all)
    return 0 if in_all.is_good else 1


def _print(name: str, result: Result) -> None:
    numbers = [result.counts.total(), *(result.counts[outcome] for outcome in OUTCOMES)]
    print(f"| {name} | {' | '.join(f'{number:,}' for number in numbers)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
