"""Run a long command: its output goes to a log file, its progress to the terminal."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Generic, TypeVar

PERCENT = re.compile(r"^\s*\[\s*(\d+)%\]")  # what make prints under CMake
# What pip and uv print.
PACKAGE = re.compile(
    r"^\s*(?:Collecting|Installing collected packages|Installed|Building|Built|Download(?:ing|ed)|Prepared)\b"
)
Result = TypeVar("Result")
NEWS_EVERY_S = 20.0  # where the output is no terminal


class StepFailed(RuntimeError):
    """A command of set-up failed; the message says which, and where its output is."""


_thread = threading.local()


def say(text: str) -> None:
    print(text, flush=True)


class Background(Generic[Result]):
    """Work in a thread of its own, whose steps show no progress while others show theirs.

    A context: who leaves it has the work ended. What still runs then, with all that it started, is killed.
    """

    def __init__(self, title: str, work: Callable[..., Result], *arguments) -> None:
        self.title, self.news = title, "working"
        self._lock, self._stopped = threading.Lock(), False
        self._process: subprocess.Popen | None = None
        self._pool = ThreadPoolExecutor(1)
        self._future = self._pool.submit(self._run, work, *arguments)
        self._pool.shutdown(wait=False)

    def __enter__(self) -> Background[Result]:
        return self

    def __exit__(self, *_) -> None:
        with self._lock:
            self._stopped = True
            if self._process is not None and self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
        wait([self._future])

    def start(self, command: list[str], **kwargs) -> subprocess.Popen:
        """Popen in a process group of its own. Raises StepFailed once the context was left."""
        with self._lock:
            if self._stopped:
                raise StepFailed(f"{self.title} was stopped.")
            self._process = subprocess.Popen(command, start_new_session=True, **kwargs)
            return self._process

    def _run(self, work: Callable[..., Result], *arguments) -> Result:
        _thread.background = self
        return work(*arguments)

    def result(self) -> Result:
        """What the work returned, or raised; where it is not done, progress is shown from here on."""
        if self._future.done():
            return self._future.result()
        progress = Progress(self.title)
        progress.start()
        while not self._future.done():
            wait([self._future], timeout=0.5)
            progress.update(self.news)
        progress.done("FAILED" if self._future.exception() else "done")
        return self._future.result()


class Progress:
    """One line of news about a running step: rewritten in place on a terminal, now and then elsewhere."""

    def __init__(self, title: str, stream=None):
        self._title = title
        self._background = getattr(_thread, "background", None)
        self._stream = stream or (io.StringIO() if self._background else sys.stdout)
        self._live = self._stream.isatty()
        self._start = self._last = time.monotonic()

    def start(self) -> None:
        if not self._live:
            print(f"{self._title} ...", file=self._stream, flush=True)

    def update(self, news: str) -> None:
        if self._background:
            self._background.news = news
            return
        now = time.monotonic()
        if now - self._last < (0.2 if self._live else NEWS_EVERY_S):
            return
        self._last = now
        line = f"  {now - self._start:3.0f} s  {news}"
        print(
            f"\r\033[K{self._title}{line[:100]}" if self._live else line[:110],
            end="" if self._live else "\n",
            file=self._stream,
            flush=True,
        )

    def done(self, outcome: str = "done") -> None:
        start = "\r\033[K" + self._title + ":" if self._live else " "
        print(f"{start} {outcome} in {time.monotonic() - self._start:.0f} s", file=self._stream, flush=True)


def news_in(line: str) -> str | None:
    """What a line of pip's or CMake's output tells about progress, if anything."""
    percent = PERCENT.match(line)
    if percent:
        return f"compiled {percent.group(1)}%"
    return line.strip() if PACKAGE.match(line) else None


def run_step(title: str, command: list[str], log_path: str, **kwargs) -> None:
    """Run `command` (keywords as `subprocess.Popen`), showing progress.

    Raises StepFailed, with the last lines of the output, if it exits with an error.
    """
    progress = Progress(title)
    progress.start()
    tail: list[str] = []
    with open(log_path, "a", encoding="utf-8") as log:
        log.write(f"\n$ {' '.join(command)}\n")
        background = getattr(_thread, "background", None)
        process = (background.start if background else subprocess.Popen)(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            **kwargs,
        )
        news = "working"
        try:
            for line in process.stdout:
                log.write(line)
                tail = [*tail[-14:], line]
                news = news_in(line) or news
                progress.update(news)
            process.wait()
        finally:
            if process.poll() is None:  # interrupted: do not leave a compiler running
                process.terminate()
                process.wait()
    if process.returncode != 0:
        progress.done("FAILED")
        raise StepFailed(
            f"{title} failed (exit {process.returncode}).\n{''.join(tail)}The complete output: {log_path}"
        )
    progress.done()
