import ast
import os
import re

import pytest

from command_line.outermost import INTERRUPTED, REFUSED
from reports.__main__ import _write_page, main
from reports.summary import load_code
from schemas.lease import FolderInUse, hold_file


def test_run_writes_the_page(whole_run, tmp_path):
    page = tmp_path / "new" / "report.html"
    assert main(["run", "--run", whole_run.uri, "--output", str(page)]) == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_page_that_is_written_anew_is_never_half_a_page(whole_run, tmp_path, kill_writes):
    page = tmp_path / "report.html"
    page.write_text("the older page")
    kill_writes(page.name)
    assert main(["run", "--run", whole_run.uri, "--output", str(page)]) == INTERRUPTED
    assert page.read_text() == "the older page"


def test_a_page_that_another_process_writes_is_left_to_it(tmp_path):
    page = str(tmp_path / "report.html")
    with hold_file(page), pytest.raises(FolderInUse, match=re.escape(page)):
        _write_page(page, "second")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_no_run_is_refused_with_a_message(tmp_path, caplog):
    page = tmp_path / "report.html"
    assert main(["run", "--run", str(tmp_path), "--output", str(page)]) == REFUSED
    assert "holds no finished stage" in caplog.text
    assert not page.exists()


def test_demo_summary_says_where_everything_is(whole_run, capsys):
    assert main(["demo-summary", "--run", whole_run.uri]) == 0
    said = capsys.readouterr().out
    for place in (
        "model",
        "report.html",
        "pretrain/report.html",
        "pretrain/metrics.jsonl",
        "pretrain/tensorboard",
    ):
        assert f"{whole_run.uri}/{place}" in said
    assert "Patients: 20,000" in said
    assert "always the most frequent codes: 20.0%" in said
    compile(said.split("Load the model:")[1].replace("\n  ", "\n"), "load", "exec")
    assert f"from_pretrained({whole_run.uri + '/model'!r})" in said


def test_codes_and_paths_in_the_python_are_literals():
    codes, folder = ['X//5" tube', "X//it's"], "runs/a 'b' \"c\"/model"
    tree = ast.parse(load_code(folder, codes))
    assert {folder, *codes} <= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}


def test_demo_summary_of_a_partial_run(fake_run, capsys):
    assert main(["demo-summary", "--run", fake_run.write_all("claims").uri]) == 0
    said = capsys.readouterr().out
    assert "Not run yet, or not to its end: make ingest vocabulary sequences shards pretrain convert" in said
    assert "Load the model" not in said
