"""The recipes of deploy/ are what Kubernetes, Horovod and the trainer take."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import subprocess
import sys

import jsonschema
import pytest
import yaml

from deploy.render_mpijob import MpiJob, main, render
from schemas.errors import ContractError
from trainer import preemption
from trainer.__main__ import make_parser
from trainer.preemption import GRACE_SECONDS

hosts = pytest.importorskip("horovod.runner.common.util.hosts")
launch = pytest.importorskip("horovod.runner.launch")

JOBS = {
    "small": MpiJob(image="lake:1", run="s3://bucket/run"),
    "large": MpiJob(
        image="registry.example/team/lake@sha256:00",
        run="s3://bucket/a: b # 'c'/",
        workers=8,
        ranks_per_worker=8,
        gpus=8,
        memory="512Gi",
        options=["--steps=5000", "--data.reader=tfrecord"],
    ),
}


@pytest.fixture(scope="module")
def validator(project_root):
    with open(f"{project_root}/tests/deploy/mpijob.schema.json") as stream:
        schema = json.load(stream)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture(params=JOBS)
def job(request):
    return JOBS[request.param]


def pods(rendered):
    return {role: spec["template"]["spec"] for role, spec in rendered["spec"]["mpiReplicaSpecs"].items()}


def containers(rendered):
    return {role: pod["containers"][0] for role, pod in pods(rendered).items()}


def test_an_mpijob_is_one_by_its_schema(validator, job):
    validator.validate(render(job))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "slotPerWorker"), 1),
        (("spec", "mpiReplicaSpecs", "Worker", "replicas"), "2"),
        (("spec", "mpiReplicaSpecs", "Worker", "restartPolicy"), "Always"),
        (("spec", "runPolicy", "cleanPodPolicy"), "Some"),
    ],
)
def test_the_schema_refuses_what_is_wrong(validator, path, value):
    rendered = copy.deepcopy(render(JOBS["small"]))
    *parents, last = path
    place = rendered
    for name in parents:
        place = place[name]
    place[last] = value
    assert not validator.is_valid(rendered)


def test_what_the_launcher_runs_is_taken_by_horovod_and_the_trainer(job, project_root, monkeypatch):
    rendered = render(job)
    launcher, worker = (containers(rendered)[role] for role in ("Launcher", "Worker"))
    assert launcher["command"][1:] == ["-m", "trainer.launch"]
    monkeypatch.setattr(sys, "argv", ["horovodrun", *launcher["args"]])
    horovod = launch.parse_args()
    assert horovod.use_gloo and horovod.hostfile == "/etc/mpi/hostfile"
    workers = rendered["spec"]["mpiReplicaSpecs"]["Worker"]["replicas"]
    assert horovod.num_proc == workers * rendered["spec"]["slotsPerWorker"]
    assert horovod.command[1:4] == ["-m", "trainer", "pretrain"]
    monkeypatch.chdir(project_root)  # the image's working directory: configs/ is in it
    options = make_parser().parse_args(horovod.command[3:])
    run = job.run.rstrip("/")
    assert options.pretrain.data.shards == f"{run}/shards" and options.pretrain.output == f"{run}/pretrain"
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == job.gpus


def test_all_have_the_time_to_stop(job):
    for spec in pods(render(job)).values():
        assert spec["terminationGracePeriodSeconds"] > GRACE_SECONDS


def test_what_asks_the_ranks_of_a_worker_runs_in_the_project_wherever_it_starts(tmp_path):
    home = tmp_path / "of 'mine' $HOME"
    (home / ".venv/bin").mkdir(parents=True)
    python = home / ".venv/bin/python"
    python.write_text('#!/bin/sh\npwd\necho "$@"\n')
    python.chmod(0o755)
    job = dataclasses.replace(JOBS["small"], home=str(home))
    hook = containers(render(job))["Worker"]["lifecycle"]["preStop"]["exec"]["command"]
    said = subprocess.run(hook, cwd="/", capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [str(home), f"-m {preemption.__name__}"]


def test_the_stores_credentials_are_files_of_the_workers_and_in_no_environment(job):
    rendered = render(job)
    launcher, worker = (containers(rendered)[role] for role in ("Launcher", "Worker"))
    assert "envFrom" not in launcher and "envFrom" not in worker
    volumes = {volume["name"]: volume for volume in pods(rendered)["Worker"]["volumes"]}
    mounts = {mount["name"]: mount for mount in worker["volumeMounts"]}
    assert mounts.keys() == volumes.keys()
    assert volumes["store"]["secret"] == {"secretName": job.secret, "optional": True}
    folder = mounts["store"]["mountPath"]
    assert {variable["name"]: variable["value"] for variable in launcher["env"]} == {
        "AWS_SHARED_CREDENTIALS_FILE": f"{folder}/credentials",
        "AWS_CONFIG_FILE": f"{folder}/config",
    }


def test_more_ranks_than_gpus_are_refused(capsys):
    with pytest.raises(ContractError, match="ranks_per_worker is 2, gpus is 1"):
        MpiJob(image="lake:1", run="s3://bucket/run", ranks_per_worker=2, gpus=1)
    options = ["--image=lake:1", "--run=s3://bucket/run", "--ranks_per_worker=2", "--gpus=1"]
    assert main(options) == 2
    assert capsys.readouterr().err.startswith("error: ranks_per_worker is 2, gpus is 1. Rule: ")


def test_the_script_writes_what_kubectl_reads(project_root):
    options = ["--image", "lake:1", "--run", "s3://bucket/run", "--options+=--steps=5"]
    written = subprocess.run(
        [sys.executable, "deploy/render_mpijob.py", *options],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rendered = yaml.safe_load(written)
    assert containers(rendered)["Launcher"]["args"][-1] == "--steps=5"


def test_the_host_file_is_one_of_horovods(project_root):
    found = hosts.parse_hosts(
        hosts.parse_host_files(os.path.join(project_root, "deploy", "hostfile.example"))
    )
    assert [(host.hostname, host.slots) for host in found] == [("node-1", 4), ("node-2", 4)]
