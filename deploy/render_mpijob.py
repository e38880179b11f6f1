"""deploy/mpijob.yaml, filled in: `python deploy/render_mpijob.py --image … --run … | kubectl apply -f -`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from string import Template
from typing import Any

import yaml

from command_line.config_file import parse_options
from command_line.outermost import OK, Told, run_program
from command_line.presets import new_parser
from schemas.errors import ContractError
from schemas.locations import check_locations

TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mpijob.yaml")


@dataclass(frozen=True)
class MpiJob:
    """One training run on Kubernetes."""

    image: str
    """That of the project's Dockerfile."""
    run: str
    """The run's folder, on a store or a volume that every pod sees: shards/ and vocabulary/ are in it."""
    name: str = "medbert-pretrain"
    workers: int = 2
    """Pods that train."""
    ranks_per_worker: int = 1
    """Processes in each; with GPUs, one a GPU."""
    gpus: int = 0
    """GPUs of a worker."""
    cpus: int = 4
    """Cores of a worker."""
    memory: str = "16Gi"
    """Memory of a worker."""
    config: str = "configs/base.yaml"
    """A preset of the trainer, in the image."""
    options: list[str] = field(default_factory=list)
    """More options of the trainer, e.g. [--steps=5000]."""
    secret: str = "medbert-store"
    """How the store is reached, if there is a secret of that name: AWS's files `credentials` and `config`."""
    service_account: str = "default"
    retries: int = 20
    """How often a launcher that ended with an error is started again."""
    home: str = "/opt/medbert-lake"
    """Where the project is in the image."""

    def __post_init__(self) -> None:
        if 0 < self.gpus < self.ranks_per_worker:
            raise ContractError(
                f"ranks_per_worker is {self.ranks_per_worker}, gpus is {self.gpus}",
                "with GPUs, each process of a worker has one of its own",
                "lower ranks_per_worker, or raise gpus",
            )


def render(job: MpiJob) -> dict[str, Any]:
    """The job as an object of Kubernetes."""
    run = job.run.rstrip("/")
    folders = {"shards": f"{run}/shards", "vocabulary": f"{run}/vocabulary", "output": f"{run}/pretrain"}
    values = asdict(job) | folders | {"ranks": job.workers * job.ranks_per_worker}
    with open(TEMPLATE, encoding="utf-8") as stream:
        # JSON's strings and numbers are YAML's too, whatever stands in them.
        text = Template(stream.read()).substitute({name: json.dumps(value) for name, value in values.items()})
    filled = yaml.safe_load(text)
    (launcher,) = filled["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]["containers"]
    launcher["args"] += job.options
    return filled


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 2 for options that do not fit together."""
    parser = new_parser(description="Fill in deploy/mpijob.yaml.")
    parser.add_class_arguments(MpiJob, None)

    def work(told: Told) -> int:
        job = MpiJob(**parse_options(parser, arguments))
        check_locations(job)
        yaml.safe_dump(render(job), sys.stdout, sort_keys=False)
        return OK

    return run_program(work)


if __name__ == "__main__":
    sys.exit(main())
