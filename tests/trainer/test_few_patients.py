"""Two real ranks with next to nothing to train on: neither waits for the other for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.manifest import join
from tests.trainer.processes import finish, losses, start
from tests.trainer.shard_files import random_patients, write_split


@pytest.mark.horovod
@pytest.mark.slow
@pytest.mark.parametrize(("backend", "patients"), [("torch", 1), ("torch", 5), ("tensorflow", 1)])
def test_a_rank_may_have_no_patients_or_a_partial_batch(data_set, tmp_path, backend, patients):
    shards, output = str(tmp_path / "shards"), str(tmp_path / "run")
    everyone = random_patients(patients + 1)
    for name, parts in (("train", [[], everyone[:patients], []]), ("valid", [everyone[patients:]])):
        write_split(join(shards, name), parts, vocabulary_fingerprint=data_set.fingerprint)
    options = {"steps": 6, "batch_size": 2, "eval_every": 3, "checkpoint_every": 3}
    finish(start(replace(data_set, shards=shards), output, backend, 2, **options))
    assert [step for step, *_ in losses(output)] == list(range(1, 7))
    assert [step for step, *_ in losses(output, "eval")] == [3, 6]
