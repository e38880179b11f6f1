"""Long commands: what the terminal shows, what the log keeps, and what ends when set-up does."""

import io
import threading

import pytest


@pytest.fixture
def progress(toolchain):
    return toolchain("progress")


@pytest.fixture
def log(tmp_path):
    return str(tmp_path / "log")


def test_a_failed_step_shows_its_last_lines_and_the_log(progress, log):
    with pytest.raises(progress.StepFailed) as failure:
        progress.run_step("Trying", ["sh", "-c", "seq 100; echo broken >&2; exit 3"], log)
    message = str(failure.value)
    assert "Trying failed (exit 3)" in message and "broken" in message and log in message
    assert "\n50\n" not in message
    with open(log) as file:
        assert "\n50\n" in file.read()


def test_a_step_that_succeeds_is_named(progress, log, capsys):
    progress.run_step("Trying", ["sh", "-c", "read line || echo no input"], log)
    assert capsys.readouterr().out == "Trying ...\n  done in 0 s\n"
    with open(log) as file:
        assert "no input" in file.read()


def test_an_interrupted_step_does_not_go_on(progress, log, tmp_path, monkeypatch, ends):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(progress.Progress, "update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        progress.run_step("Trying", ["sh", "-c", "echo $$; exec sleep 600"], log)
    with open(log) as file:
        ends(int(file.read().split()[-1]))


@pytest.mark.parametrize(
    ("line", "news"),
    [
        ("[ 42%] Building CXX object x.o\n", "compiled 42%"),
        ("  Downloading torch (800 MiB)\n", "Downloading torch (800 MiB)"),
        ("Installed 3 packages in 4ms\n", "Installed 3 packages in 4ms"),
        (" + numpy==2.4.6\n", None),
    ],
)
def test_news(progress, line, news):
    assert progress.news_in(line) == news


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_the_line_is_rewritten(progress, monkeypatch):
    monkeypatch.setattr(progress.time, "monotonic", iter((0.0, 5.0, 9.0)).__next__)
    shown = progress.Progress("Compiling", stream=(terminal := Terminal()))
    shown.start()
    shown.update("compiled 5%")
    shown.done()
    assert terminal.getvalue() == "\r\033[KCompiling    5 s  compiled 5%\r\033[KCompiling: done in 9 s\n"


def test_background_work_returns_its_result(progress):
    with progress.Background("Adding", lambda a, b: a + b, 1, 2) as work:
        assert work.result() == 3


def test_background_work_raises_where_its_result_is_asked_for(progress, log):
    command = ["sh", "-c", "exit 3"]
    with (
        progress.Background("Failing", progress.run_step, "Failing", command, log) as work,
        pytest.raises(progress.StepFailed, match=r"Failing failed \(exit 3\)"),
    ):
        work.result()


def test_background_work_shows_nothing_until_it_is_waited_for(progress, log, capsys):
    def work():
        progress.run_step("Inner", ["sh", "-c", "echo '[ 42%] x'"], log)
        ready.set()
        may_end.wait()

    ready, may_end = threading.Event(), threading.Event()
    with progress.Background("Outer", work) as background:
        ready.wait()
        assert capsys.readouterr().out == "" and background.news == "compiled 42%"
        threading.Timer(0.1, may_end.set).start()
        background.result()
    output = capsys.readouterr().out
    assert output.startswith("Outer ...\n") and "done in" in output and "Inner" not in output


def test_who_leaves_ends_the_work_with_all_that_it_started(progress, log, ends, tmp_path):
    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $! $$ >{pids}.new; mv {pids}.new {pids}; wait"
    with pytest.raises(KeyError), progress.Background("A", progress.run_step, "A", ["sh", "-c", script], log):
        while not pids.exists():
            pass
        raise KeyError
    for pid in pids.read_text().split():
        ends(int(pid))


def test_work_that_was_ended_starts_nothing_more(progress, log, tmp_path):
    left = threading.Event()
    errors = []

    def work():
        left.wait()
        try:
            progress.run_step("Late", ["touch", str(tmp_path / "late")], log)
        except progress.StepFailed as error:
            errors.append(str(error))

    background = progress.Background("Late work", work)
    with background._lock:
        background._stopped = True
    left.set()
    background.__exit__()
    assert errors == ["Late work was stopped."] and not (tmp_path / "late").exists()
