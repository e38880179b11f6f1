"""Shards and training on them in one Spark session."""

from __future__ import annotations

import json

import pytest

from schemas.checkpoint import latest_checkpoint
from schemas.errors import ContractError
from schemas.manifest import join
from schemas.training_log import METRICS_FILE
from tests.spark_jobs.pipeline import write_extract
from trainer.config import DataConfig, ModelConfig, OptimizerConfig, PretrainConfig

horovod_spark = pytest.importorskip("horovod.spark")
from deploy.spark_train import SparkTrain, main  # noqa: E402  (it imports Horovod)

pytestmark = [pytest.mark.spark, pytest.mark.horovod, pytest.mark.slow]


@pytest.fixture
def config(run, tmp_path, monkeypatch):
    """Training on 200 patients, of whose shards only the sequences are there."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    lines = [
        f"{patient} 2014-03-01 2014-03-{1 + patient % 20:02d} ICD10_C{10 + (patient + code) % 30} {code} 1 1"
        for patient in range(200)
        for code in range(4)
    ]
    run.ingest("medbert", write_extract(tmp_path / "x.tsv", *lines))
    run.vocabulary()
    run.sequences()
    training = PretrainConfig(
        data=DataConfig(run.path("shards"), run.path("vocabulary"), max_seq_length=16),
        output=run.path("pretrain"),
        steps=6,
        batch_size=16,
        log_every=1,
        eval_every=6,
        checkpoint_every=6,
        model=ModelConfig(
            hidden_size=12, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=16
        ),
        optimizer=OptimizerConfig(warmup_steps=2),
    )
    return SparkTrain(training, ranks=2, sequences=run.path("sequences"))


def test_two_ranks_train_in_the_session_that_wrote_the_shards(spark, config):
    main(spark, config)
    with open(join(config.train.output, METRICS_FILE)) as stream:
        lines = [json.loads(line) for line in stream]
    assert lines[0]["kind"] == "start" and lines[0]["world_size"] == 2
    assert lines[0]["num_patients"] > 100
    assert [line["step"] for line in lines if line["kind"] == "train"] == list(range(1, 7))
    assert latest_checkpoint(config.train.output).step == 6


def test_a_rank_that_fails_is_one_message(monkeypatch):
    def run(*arguments, **options):
        raise RuntimeError("Process name: 0\nExit code: 1")

    monkeypatch.setattr(horovod_spark, "run", run)
    config = SparkTrain(PretrainConfig(DataConfig("shards", "vocabulary"), "run"))
    with pytest.raises(ContractError, match="training ended: Process name: 0 Exit code: 1"):
        main(None, config)
