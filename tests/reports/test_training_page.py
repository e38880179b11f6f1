"""The page on a pretraining: its numbers, what happened to it, what it learned."""

import json

import pytest

from reports.__main__ import main
from reports.figures import thinned
from reports.page import render
from reports.training_log import TrainingLog, read_training_log
from reports.training_page import render_training
from schemas.errors import ContractError
from schemas.learned_codes import LEARNED_CODES_FILE
from schemas.training_log import METRICS_FILE
from tests.reports.test_page import Document, text_of

START = {"kind": "start", "step": 0, "backend": "torch", "world_size": 2, "batch_size": 32, "steps": 400}
START |= {"num_patients": 14_000, "vocabulary_size": 8}
NOT_FINITE = {
    "kind": "stop",
    "step": 60,
    "reason": "not finite",
    "found": [
        {"rank": 1, "rows": {"part-00003.parquet": list(range(24))}, "anomaly": "in layer 2: exp"},
        {"rank": 0, "rows": {"part-00000.parquet": [7]}, "anomaly": None},
    ],
}


def train(step, seconds):
    return {"kind": "train", "step": step, "seconds": seconds, "patients_per_second": 10.0}


@pytest.fixture(scope="module")
def page(whole_run) -> str:
    return render_training(f"{whole_run.uri}/pretrain")


def test_numbers_against_the_baselines(page):
    text = text_of(page)
    assert "400 of 400 steps with torch · 2 × 32 patients a step · seed 7" in text
    assert "model 14.5% 33.8% 48.2%" in text
    assert "the patient's other visits 8.0% 18.0% 22.0%" in text
    assert "better than both baselines" in text
    assert "Not trained to its last step" not in text
    assert "1.0% of the time spent waiting for input" in text


def test_confusions_and_neighbours_by_name(page):
    text = text_of(page)
    assert (
        "ICD9CM//401.9 Unspecified essential hypertension ICD10CM//I10 Essential (primary) hypertension"
        in text
    )
    assert "120 30.0%" in text
    assert "ICD10CM//I10 Essential (primary) hypertension ICD9CM//401.9" in text
    assert "0.81" in text and "-0.10" in text


def test_every_curve_is_there(page):
    titles = (
        "Masked-code loss",
        "Prolonged-stay loss",
        "Slots that hold a code",
        "Time spent waiting for input",
    )
    titles += ("Gradient norm", "Learning rate", "Patients a second, all ranks, over time")
    for title in titles:
        assert f"<h3>{title}" in page


def test_the_page_is_whole_and_needs_nothing_from_the_net(page):
    document = Document(page)
    assert document.open == []
    assert len(set(document.ids)) == len(document.ids)
    assert "http" not in page.replace("http://www.w3.org/", "")


def test_what_happened_is_told_in_order_and_time_goes_on(fake_run):
    log = TrainingLog(
        (
            START,
            train(40, 9.0),
            {"kind": "stop", "step": 41, "reason": "SIGTERM", "ranks": [0, 1]},
            START | {"step": 41},
            train(50, 5.0),
            START | {"step": 50, "world_size": 1},
            train(60, 3.0),
            NOT_FINITE,
        )
    )
    stop, on, fewer, failed = log.events
    assert stop.text == "Asked to stop (SIGTERM on rank 0, 1) and did, after step 41."
    assert on.text == "Went on from step 41."
    assert fewer.text == "Went on from step 50 with 1 rank(s); before, there were 2."
    assert failed.text.startswith(
        "Step 61 gave a value that is not finite and was not applied: rank 1: part-00003"
    )
    assert "18, 19 and 4 more, in layer 2: exp; rank 0: part-00000.parquet row 7." in failed.text
    assert [event.seconds for event in log.events] == [9, 9, 14, 17]
    assert [event.is_failure for event in log.events] == [False, False, False, True]
    assert log.failure == failed
    assert TrainingLog((*log.entries, START | {"step": 60})).failure is None


def test_a_run_that_failed_says_so_first(fake_run):
    fake_run.write_all("claims")
    lines = "".join(json.dumps(line) + "\n" for line in (START, train(60, 9.0), NOT_FINITE))
    fake_run.write_file(f"pretrain/{METRICS_FILE}", (lines + '{"kind": "tra').encode())
    text = text_of(render_training(f"{fake_run.uri}/pretrain"))
    assert text.index("Step 61 gave a value that is not finite") < text.index("Evaluation")
    assert "Not trained to its last step" in text
    assert "Not evaluated yet." in text
    assert "Confusions" not in text  # there is no learned_codes.json
    assert "Training failed. Step 61 gave" in text_of(render(fake_run.uri))


def test_a_long_run_is_drawn_by_the_means_of_neighbours():
    assert thinned([]) == ()
    few = [(step, step * 0.5) for step in range(400)]
    assert list(thinned(few)) == few
    many = thinned([(step, float(step % 2)) for step in range(4000)])
    assert len(many) == 400
    assert many[0] == (4.5, 0.5) and many[-1] == (3994.5, 0.5)


def test_where_nothing_may_be_shown_the_page_says_so(fake_run):
    fake_run.write_all()
    empty = {"step": 400, "confusions": [], "neighbourhoods": []}
    fake_run.write_file(f"pretrain/{LEARNED_CODES_FILE}", json.dumps(empty).encode())
    text = text_of(render_training(f"{fake_run.uri}/pretrain"))
    assert "No confusion was seen in 11 patients or more" in text
    assert "No code has 11 patients or more" in text


def test_a_folder_without_a_log_is_refused(tmp_path):
    assert read_training_log(str(tmp_path)) is None
    with pytest.raises(ContractError, match="make pretrain"):
        render_training(str(tmp_path))


def test_the_command_writes_the_page(whole_run, tmp_path):
    target = tmp_path / "report.html"
    assert main(["training", "--run", f"{whole_run.uri}/pretrain", "--output", str(target)]) == 0
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
