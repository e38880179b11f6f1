"""`--config FILE`: what is no file of options is refused in one message, and nothing in it is passed over."""

from __future__ import annotations

import pytest

from command_line.outermost import REFUSED
from trainer import __main__ as command
from trainer import pretrain

REQUIRED = ("--data.shards", "s", "--data.vocabulary", "v", "--output", "o")
REFUSALS = {
    "Latin-1": ("steps: 5 # é".encode("latin-1"), "line 1 is not text in UTF-8"),
    "UTF-16": ("steps: 5".encode("utf-16"), "line 1 is not text in UTF-8"),
    "nested": (b"steps: " + b"[" * 3000 + b"]" * 3000, "more than 32 levels"),
    "a key twice": (b"steps: 5\nsteps: 6\n", "key 'steps' is there twice"),
    "a section that is a value": (b"data: 7\n", "data is a section of options"),
    "a section that is a list": (b"data: [1]\n", "data is a section of options"),
    "an empty section": (b"model:\n", "model is a section of options"),
    "an unknown option": (b"__path__: 1\n", "there is no option __path__"),
    "an unknown option below": (b"data: {reeder: arrow}\n", "there is no option data.reeder"),
    "its own option": (b"config: x\n", "there is no option config"),
    "a number of base 8": (b"steps: 010\n", "another base"),
    "a number of base 60": (b"steps: 1:30\n", "another base"),
    "a tag that does not fit": (b"steps: !!int x\n", "has not its type"),
    "a date that is none": (b"steps: 2020-13-45\n", "has not its type"),
    "a huge number": (b"steps: " + b"9" * 5000, "has not its type"),
    "null for a number": (b"steps: null\n", "steps is null"),
    "null for a number below": (b"data: {max_seq_length: ~}\n", "data.max_seq_length is null"),
    "a list": (b"- 1\n", "is no mapping"),
    "nothing": (b"", "is no mapping"),
}


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """run(content) → the exit status and what was said; content None: of a path that is a folder."""
    monkeypatch.setattr(pretrain, "main", lambda config: None)

    def run(content):
        if content is not None:
            (tmp_path / "preset.yaml").write_bytes(content)
        path = tmp_path if content is None else tmp_path / "preset.yaml"
        status = command.main(["pretrain", "--config", str(path), *REQUIRED])
        return status, capsys.readouterr().err

    return run


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_no_file_of_options(run, case):
    content, words = REFUSALS[case]
    status, said = run(content)
    assert status == REFUSED
    assert said.startswith("error: ") and words in said and said.count("\n") == 1


def test_a_folder_and_a_path_to_nothing(run, capsys):
    status, said = run(None)
    assert status == REFUSED and "is a folder" in said
    assert command.main(["pretrain", "--config", "no/such.yaml", *REQUIRED]) == REFUSED
    assert "no/such.yaml does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        b"steps: 5\npatients: null\ndata: {reader: tfrecord}\n",
        b"\xef\xbb\xbfsteps: 5\r\n",
        b"data.reader: tfrecord\n",
    ],
)
def test_what_is_one(run, content):
    assert run(content) == (0, "")


def test_a_value_on_the_command_line_that_is_no_yaml(monkeypatch, capsys):
    monkeypatch.setattr(pretrain, "main", lambda config: None)
    for value in ("!!int x", "[" * 3000 + "]" * 3000):
        with pytest.raises(SystemExit) as ended:
            status = command.main(["pretrain", *REQUIRED, "--profile_steps", value])
            raise SystemExit(status)
        assert ended.value.code == REFUSED
        assert "error: " in capsys.readouterr().err
