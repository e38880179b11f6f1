"""What a program says in the place of a traceback, and that every program says it."""

from __future__ import annotations

import errno
import os
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors import SafetensorError

from command_line.outermost import INTERRUPTED, OK, REFUSED, Told, run_program
from conversion.errors import ProcessFailed
from schemas.errors import ContractError

NO_TRACEBACK = {
    # It asks ranks to stop, and reads and writes nothing.
    "trainer/preemption.py",
    # Made once, by whoever changes the project.
    "spark_jobs/generator/make_incidental_codes.py",
}


FULL = "a disk is full: No space left on device in --output runs/x, or "


def said_of(error):
    """What a program says whose work raises that error."""
    told = []

    def work(program: Told) -> int:
        program.output, program.say = "runs/x", told.append
        raise error

    assert run_program(work) == REFUSED
    (message,) = told
    assert "\n" not in message
    return message


def write_arrow(stream):
    pq.write_table(pa.table({"a": range(100_000)}), stream)


# Each writes to a stream that is open: given a path, some replace or remove what is there.
WRITERS = {
    "a file": lambda stream: stream.write(b"x" * 100_000),
    "Arrow": write_arrow,
    "NumPy": lambda stream: np.savez(stream, a=np.zeros(100_000)),
}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_as_libraries_report_it(writer):
    with open("/dev/full", "wb", buffering=0) as stream, pytest.raises(OSError, match="No space left") as of:
        WRITERS[writer](stream)
    assert said_of(of.value).startswith(FULL)


@pytest.mark.parametrize(
    "error",
    [
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("ResourceExhausted: model.ckpt-7.data; No space left on device [Op:SaveV2]"),
        OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"),
    ],
)
def test_a_full_disk_that_only_words_tell(error):
    assert said_of(error).startswith(FULL)


def test_a_full_disk_behind_what_failed_next():
    try:
        try:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        finally:
            raise ValueError("the file was not closed")
    except ValueError as error:
        assert said_of(error).startswith("a disk is full: Disk quota exceeded")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ContractError("a is 1", "a is 2", "make it 2"), "a is 1. Rule: a is 2. Remedy: make it 2."),
        (ProcessFailed("the child ended"), "the child ended"),
        (PermissionError(errno.EACCES, "denied", "x/y"), "x/y: Permission denied. Remedy: let this user"),
        (OSError(errno.EROFS, "read-only"), "runs/x: Read-only file system. Remedy: name another path"),
        (FileNotFoundError(errno.ENOENT, "none", "x"), "x: No such file or directory. Remedy: check"),
        (IsADirectoryError(errno.EISDIR, "folder", b"x"), "x: Is a directory. Remedy: check"),
        (OSError(errno.EMFILE, "many"), r"Too many open files.*ulimit -n"),
        (OSError(errno.EIO, "io", "x"), "x: Input/output error. Remedy: check the disk"),
        (OSError(errno.ENAMETOOLONG, "long", "x" * 300), "File name too long. Remedy: give a shorter"),
        (MemoryError(), "not enough memory"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "a store does not answer"),
        (TimeoutError("too late"), "a store does not answer"),
        (ValueError("Protocol not known: x"), "Protocol not known: x. Remedy: check the beginning"),
    ],
)
def test_what_a_user_can_fix_is_one_message(error, words):
    assert re.search(words, said_of(error))


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), AssertionError(), OSError("x")])
def test_a_fault_of_ours_keeps_its_traceback(error):
    def work(told: Told) -> int:
        raise error

    with pytest.raises(type(error)):
        run_program(work)


def test_the_end_of_work_is_handed_on_and_an_interrupt_said(capsys):
    def interrupted(told: Told) -> int:
        raise KeyboardInterrupt

    assert run_program(lambda told: 7) == 7
    assert run_program(interrupted) == INTERRUPTED
    assert capsys.readouterr().err == "error: interrupted. Start it again to go on.\n"


def test_whoever_reads_what_is_printed_may_stop_before_its_end(tmp_path):
    import subprocess
    import sys

    code = """
import sys
from command_line.outermost import run_program
sys.exit(run_program(lambda told: sys.stdout.write("x" * 1_000_000) and 0))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == (b"", OK)
    process.stderr.close()


def test_every_program_has_this_handler(project_root):
    found = set()
    for package in ("spark_jobs", "trainer", "conversion", "reports", "deploy"):
        for folder, _, names in os.walk(f"{project_root}/{package}"):
            for name in names:
                path = os.path.relpath(f"{folder}/{name}", project_root)
                if not name.endswith(".py") or path in NO_TRACEBACK:
                    continue
                with open(f"{folder}/{name}", encoding="utf-8") as stream:
                    text = stream.read()
                if 'if __name__ == "__main__":' in text:
                    assert re.search(r"\b(run_program|run_command|run_job)\(", text), path
                    found.add(path)
    assert len(found) > 12


def test_a_report_on_a_full_disk(tmp_path, monkeypatch, caplog):
    from reports import __main__ as reports

    def full(uri, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(reports, "render", lambda run: "page")
    monkeypatch.setattr(reports, "write_whole", full)
    assert reports.main(["run", "--run", "x", "--output", f"{tmp_path}/page.html"]) == REFUSED
    assert f"a disk is full: No space left on device in --output {tmp_path}/page.html" in caplog.text
    assert "Traceback" not in caplog.text
