"""Shards, then training on them, in one Spark application: every rank of Horovod runs in a Spark task.

    spark-submit deploy/spark_train.py --ranks 2 --sequences runs/mine/sequences \
        --train.data.shards runs/mine/shards --train.data.vocabulary runs/mine/vocabulary \
        --train.output runs/mine/pretrain

The executors' Python is one that this project was set up in, and they can run all ranks at once.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import horovod.spark
from pyspark.sql import SparkSession

from schemas.errors import ContractError
from spark_jobs import write_shards
from spark_jobs.config import run_job
from spark_jobs.write_shards import WriteShards
from trainer import pretrain
from trainer.config import PretrainConfig
from trainer.core.world import detect_world
from trainer.run_logging import set_up_logging


@dataclass(frozen=True)
class SparkTrain:
    """Train in a Spark application.

    Args:
        train: options of the trainer.
        ranks: processes that train together, one a Spark task.
        sequences: write the shards first, from these sequences and the vocabulary to the trainer's folder of
            shards.
    """

    train: PretrainConfig
    ranks: int = 2
    sequences: str | None = None


def main(spark: SparkSession, config: SparkTrain) -> None:
    """Raises ContractError."""
    if config.sequences is not None:
        data = config.train.data
        write_shards.main(
            spark, WriteShards(config.sequences, data.vocabulary, data.shards, seed=config.train.seed)
        )
    try:
        horovod.spark.run(train, args=(config.train,), num_proc=config.ranks, use_gloo=True)
    except RuntimeError as error:
        raise ContractError(
            f"training ended: {' '.join(str(error).split())}",
            "every rank trains to the end",
            "mend what the ranks say above, and start again: the run goes on from its newest checkpoint",
        ) from error


def train(config: PretrainConfig) -> None:
    """One rank. It runs in a process below a Spark task."""
    set_up_logging(detect_world())
    pretrain.main(config)


if __name__ == "__main__":
    sys.exit(run_job(SparkTrain, main))
