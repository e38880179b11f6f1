"""A run on two hosts, over their network, is that of two processes on one."""

from __future__ import annotations

import os
import signal
import subprocess

import numpy as np
import pytest
from safetensors.numpy import load_file

from schemas.checkpoint import latest_checkpoint
from tests.trainer.network_hosts import ADDRESSES, INTERFACE, two_hosts
from tests.trainer.processes import finish, losses, start, wait_for_step
from trainer.exit_codes import STOPPED, USER_ERROR

pytestmark = [pytest.mark.horovod, pytest.mark.slow]

OPTIONS = {"steps": 20, "eval_every": 10, "checkpoint_every": 20}


@pytest.fixture
def hosts(tmp_path):
    with two_hosts(str(tmp_path)) as made:
        yield made


@pytest.fixture
def begin(data_set, hosts):
    """Start a run on both hosts."""

    def begin(output, hostfile=hosts.hostfile, launch=(), **options):
        return start(
            data_set,
            output,
            "torch",
            2,
            launch=("--hostfile", hostfile, "--disable-cache", *launch),
            prefix=hosts.prefix,
            environment=hosts.environment | {"HOROVOD_GLOO_TIMEOUT_SECONDS": "10"},
            **options,
        )

    return begin


def test_hosts_are_apart(hosts):
    seen = subprocess.run([*hosts.prefix, "ip", "-brief", "address"], capture_output=True, text=True).stdout
    assert INTERFACE in seen and ADDRESSES[0] in seen and ADDRESSES[1] not in seen


def test_weights_are_those_of_two_processes_on_one_host(data_set, tmp_path, hosts, begin):
    one, two = str(tmp_path / "one_host"), str(tmp_path / "two_hosts")
    said = finish(begin(two, **OPTIONS))
    with open(hosts.ssh_log) as stream:
        assert set(stream.read().split()) == {ADDRESSES[1]}, said
    finish(start(data_set, one, "torch", 2, **OPTIONS))
    assert losses(two) == losses(one) and len(losses(one)) == 20
    assert losses(two, "eval") == losses(one, "eval")
    expected, found = (
        load_file(f"{latest_checkpoint(output).uri}/model.safetensors") for output in (one, two)
    )
    assert expected.keys() == found.keys()
    for name, weights in expected.items():
        np.testing.assert_array_equal(found[name], weights, err_msg=name)


def test_a_cut_cable_ends_the_run(tmp_path, hosts, begin):
    output = str(tmp_path / "run")
    process = begin(output, steps=100_000)
    wait_for_step(process, output, 3)
    hosts.cut_cable()
    said = finish(process, USER_ERROR)
    assert "stops: another rank is lost or hangs (" in said


def test_a_launcher_without_ranks_has_those_elsewhere_stop_in_order(tmp_path, begin):
    output, hostfile = str(tmp_path / "run"), tmp_path / "only_the_other_host"
    hostfile.write_text(f"{ADDRESSES[1]} slots=2\n")
    # Horovod takes a single host for its own, and has it talk to itself alone.
    launch = ("--network-interface", INTERFACE)
    process = begin(output, str(hostfile), launch, steps=100_000)
    wait_for_step(process, output, 10)
    os.kill(process.pid, signal.SIGTERM)
    said = finish(process, STOPPED)
    assert "(SIGTERM on rank " in said
    assert latest_checkpoint(output).step == losses(output)[-1][0] >= 10
