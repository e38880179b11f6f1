"""Which checkpoints a run keeps, and which of them it goes on from."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from schemas.applied_maps import CATEGORIES, AppliedMap
from schemas.checkpoint import folder_name, latest_checkpoint, list_checkpoints, open_checkpoint
from schemas.errors import ContractError
from schemas.manifest import MANIFEST_NAME, join
from schemas.vocabulary import read_vocabulary
from tests.trainer.fake_backend import FakeBackend
from tests.trainer.processes import STEPS, finish, losses, start
from tests.trainer.runs import read_log, run_ranks
from trainer import pretrain
from trainer.core.checkpoints import read_state
from trainer.core.commits import Commits
from trainer.core.evaluation import Evaluator, validation_loss
from trainer.core.stop import Stopped, StopRequest
from trainer.core.together import RankLost
from trainer.core.world import World
from trainer.core.writing import CannotWrite
from trainer.exit_codes import USER_ERROR


@pytest.fixture
def evaluations(monkeypatch):
    """Evaluations give these losses one after the other, then the last one for ever."""
    planned = []
    evaluate = Evaluator.evaluate

    def plan(*losses):
        planned[:] = losses

    def planned_evaluate(self):
        values = evaluate(self)
        if not planned:
            return values
        loss = planned.pop(0) if len(planned) > 1 else planned[0]
        return values | {"mlm_loss": loss, "los_loss": 0.5}

    monkeypatch.setattr(Evaluator, "evaluate", planned_evaluate)
    return plan


def steps_kept(config):
    return [step for step, _ in list_checkpoints(config.output)]


def folders(config):
    return [uri.rsplit("/", 1)[-1] for _, uri in list_checkpoints(config.output)]


@pytest.fixture
def set_back(monkeypatch):
    """Run, and lose a rank as the checkpoint of step 10 is whole: the last commit, of step 8, is older."""

    def run(config):
        commits = [Commits()]

        def lose_at(step, backend):
            if step == 10:
                backend.all_reduce = lose

        def lose(name, values):
            if name == "save.failed":
                raise RankLost
            return np.array(values)

        with pytest.raises(RankLost):
            run_ranks(config, before_step=lose_at, commits=commits)
        assert folders(config) == ["step-00000010"] and commits[0].state.step == 8
        return commits

    return run


def test_a_step_is_saved_again_without_giving_up_the_save_before(make_config, set_back, monkeypatch):
    config = make_config(steps=20, commit_every=4, keep_checkpoints=1, keep_best=0)
    commits = set_back(config)

    def full(self, folder, step):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(FakeBackend, "save", full)
        with pytest.raises(CannotWrite, match="step-00000010-2 cannot be written"):
            run_ranks(config, commits=commits)
    assert folders(config) == ["step-00000010"]
    open_checkpoint(list_checkpoints(config.output)[0][1], verify=True)

    def die(step, backend):
        if step == 11:
            raise RankLost

    for number in (2, 3):  # in another world the step is another one, too
        again = [Commits()]
        again[0].keep(FakeBackend(*backend_arguments(config)), commits[0].state, 0)
        with pytest.raises(RankLost):
            run_ranks(config, before_step=die, commits=again)
        assert folders(config) == [f"step-00000010-{number}"]
    assert read_log(config, "checkpoint")[-1]["folder"] == "checkpoints/step-00000010-3"
    assert again[0].state.step == again[0].saved_step == 10
    run_ranks(config)
    assert folders(config) == ["step-00000020"]
    assert read_log(config, "start")[-1]["step"] == 10


def backend_arguments(config):
    return config.model.bert_config(44), config.optimizer, World(), config.seed


def test_a_later_save_of_an_earlier_step_is_the_newest(make_config, set_back):
    config = make_config(steps=20, commit_every=4, keep_checkpoints=3)
    commits = set_back(config)
    stop = StopRequest()

    def ask(step, backend):
        if step == 9:
            stop.ask()

    with pytest.raises(Stopped, match="stopped at step 9 "):
        run_ranks(config, before_step=ask, stops=[stop], commits=commits)
    assert folders(config) == ["step-00000009"]
    run_ranks(config)
    assert [line["step"] for line in read_log(config, "train")] == list(range(1, 21))
    assert read_log(config, "start")[-1]["step"] == 9


def test_what_a_lost_process_left_of_a_step_goes(make_config):
    config = make_config(steps=10)
    run_ranks(config)
    first = list_checkpoints(config.output)[0][1]
    shutil.copytree(first, f"{first}-2")
    os.remove(join(f"{first}-2", MANIFEST_NAME))
    os.remove(join(first, MANIFEST_NAME))
    run_ranks(config)
    assert folders(config) == ["step-00000010"]
    open_checkpoint(first, verify=True)


def test_checkpoints_of_any_step_are_found(tmp_path):
    names = [folder_name(99_999_999), folder_name(100_000_000), folder_name(100_000_000, 2)]
    for name in [*names, "step-1", "step-00000001.old"]:
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    found = list_checkpoints(str(tmp_path))
    assert found == [
        (step, join(str(tmp_path), "checkpoints", name))
        for step, name in zip([99_999_999, 100_000_000, 100_000_000], names, strict=True)
    ]


@pytest.mark.parametrize(("keep_best", "kept"), [(0, [25, 30]), (1, [10, 25, 30]), (2, [10, 20, 25, 30])])
def test_the_newest_and_the_best_are_kept(make_config, evaluations, keep_best, kept):
    evaluations(3.0, 1.0, 2.0, 1.5, 2.5, 2.0)  # at steps 5, 10, 15, 20, 25, 30
    config = make_config(steps=30, checkpoint_every=5, eval_every=5, keep_checkpoints=2, keep_best=keep_best)
    run_ranks(config)
    assert steps_kept(config) == kept
    saved = {line["step"]: line["validation_loss"] for line in read_log(config, "checkpoint")}
    assert saved == {5: 3.5, 10: 1.5, 15: 2.5, 20: 2.0, 25: 3.0, 30: 2.5}
    assert read_state(list_checkpoints(config.output)[0][1]).validation_loss == saved[kept[0]]


def test_the_best_is_still_the_best_after_a_resume(make_config, evaluations):
    evaluations(1.0, 2.0)
    config = make_config(steps=15, checkpoint_every=5, eval_every=5, keep_checkpoints=1)
    run_ranks(config)
    evaluations(3.0)
    run_ranks(replace(config, steps=30))
    assert steps_kept(config) == [5, 30]


def test_of_equals_the_newest_is_the_best(make_config, evaluations):
    evaluations(1.0, 1.0, 2.0)
    config = make_config(steps=20, checkpoint_every=5, eval_every=5, keep_checkpoints=1)
    run_ranks(config)
    assert steps_kept(config) == [10, 20]


def test_what_was_not_evaluated_or_is_no_number_is_no_best(make_config, evaluations):
    evaluations(float("nan"), 2.0, 3.0)  # at steps 10, 20 and 30
    config = make_config(steps=30, checkpoint_every=5, eval_every=10, keep_checkpoints=1)
    run_ranks(config)
    assert steps_kept(config) == [20, 30]
    assert [line["validation_loss"] for line in read_log(config, "checkpoint")] == [
        None, None, None, 2.5, None, 3.5,
    ]  # fmt: skip


def test_a_checkpoint_states_how_many_codes_training_saw_and_how_they_were_mapped(make_config, monkeypatch):
    maps = (AppliedMap(CATEGORIES),)

    def read_mapped(uri):
        return replace(read_vocabulary(uri), code_maps=maps)

    monkeypatch.setattr(pretrain, "read_vocabulary", read_mapped)
    config = make_config(steps=5, max_seq_length=20)
    run_ranks(config)
    found = latest_checkpoint(config.output)
    assert (found.max_seq_length, found.config.max_position_embeddings) == (20, 64)
    assert found.code_maps == maps


@pytest.mark.parametrize("missing", ["mlm_loss", "los_loss"])
def test_no_loss_is_no_validation_loss(missing):
    assert validation_loss({"mlm_loss": 1.0, "los_loss": 0.5}) == 1.5
    assert validation_loss({"mlm_loss": 1.0, "los_loss": 0.5, missing: None}) is None


def damage(folder, file, content):
    with open(join(folder, file), "wb") as stream:
        stream.write(content)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("weights.npz", b""),
        ("training_state.json", b"{}"),
        (MANIFEST_NAME, b""),
        (MANIFEST_NAME, b"\xff\xfe"),
    ],
)
def test_a_damaged_newest_is_skipped_loudly(make_config, caplog, file, content):
    config = make_config(steps=30)
    run_ranks(config, 2)
    expected = read_log(config, "train")[-1]["mlm_loss"]
    newest = list_checkpoints(config.output)[-1][1]
    damage(newest, file, content)
    caplog.clear()
    run_ranks(config, 2)
    loud = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert len(loud) == 2
    assert f"{newest} is damaged and is skipped: " in loud[0] and file in loud[0]
    assert loud[1] == "going on from step 20 instead: the steps after it are done again"
    assert read_log(config, "train")[-1]["mlm_loss"] == expected
    assert folders(config)[-1] == "step-00000030-2"
    open_checkpoint(list_checkpoints(config.output)[-1][1], verify=True)


def test_a_run_whose_checkpoints_are_all_damaged_does_not_start_over_them(make_config):
    config = make_config(steps=20)
    run_ranks(config)
    for _, folder in list_checkpoints(config.output):
        damage(folder, "weights.npz", b"")
    before = read_log(config)
    with pytest.raises(ContractError, match=r"every checkpoint in .* is damaged, the newest being .*00020"):
        run_ranks(replace(config, steps=30), 2)
    assert read_log(config) == before


def test_an_unfinished_first_checkpoint_is_no_loss(make_config):
    config = make_config(steps=10)
    run_ranks(config)
    os.remove(join(list_checkpoints(config.output)[0][1], MANIFEST_NAME))
    run_ranks(config)
    assert [line["step"] for line in read_log(config, "start")] == [0, 0]


@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_a_disk_that_is_full_in_a_real_run(data_set, tmp_path, backend):
    if not shutil.which("prlimit"):
        pytest.skip("prlimit, which limits the size of files, is not installed")
    output = str(tmp_path / "run")
    finish(start(data_set, output, backend, 1, steps=7))
    # The weights (20 kB) do not fit; everything else does.
    said = finish(start(data_set, output, backend, 1, steps=14, eval_every=14, file_limit=15_000), USER_ERROR)
    assert "error: " in said and "step-00000014 cannot be written: " in said and "Remedy: make room" in said
    assert "Traceback" not in said
    assert [step for step, _ in list_checkpoints(output)] == [7]
    checkpoint = latest_checkpoint(output)
    assert checkpoint is not None
    open_checkpoint(checkpoint.uri, verify=True)
    finish(start(data_set, output, backend, 1, steps=14))
    assert [step for step, *_ in losses(output)] == list(range(1, 15))


def test_a_log_that_cannot_be_written_is_one_message(data_set, tmp_path):
    if not shutil.which("prlimit"):
        pytest.skip("prlimit, which limits the size of files, is not installed")
    output = str(tmp_path / "run")
    options = {"checkpoint_every": 1000, "eval_every": 1000, "file_limit": 8000}
    said = finish(start(data_set, output, "torch", 1, **options), USER_ERROR)
    assert "cannot be written: File too large" in said
    assert "Traceback" not in said
    assert 0 < losses(output)[-1][0] < STEPS
