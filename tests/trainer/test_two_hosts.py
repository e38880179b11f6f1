"""A run on two hosts, over their network, is that of two processes on one."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from safetensors.numpy import load_file

from schemas.checkpoint import latest_checkpoint
from tests.trainer.network_hosts import ADDRESSES, INTERFACE, two_hosts
from tests.trainer.processes import finish, losses, start

pytestmark = [pytest.mark.horovod, pytest.mark.slow]

OPTIONS = {"steps": 20, "eval_every": 10, "checkpoint_every": 20}


@pytest.fixture
def hosts(tmp_path):
    with two_hosts(str(tmp_path)) as made:
        yield made


def test_hosts_are_apart(hosts):
    seen = subprocess.run([*hosts.prefix, "ip", "-brief", "address"], capture_output=True, text=True).stdout
    assert INTERFACE in seen and ADDRESSES[0] in seen and ADDRESSES[1] not in seen


def test_weights_are_those_of_two_processes_on_one_host(data_set, tmp_path, hosts):
    one, two = str(tmp_path / "one_host"), str(tmp_path / "two_hosts")
    options = OPTIONS | {
        "launch": ("--hostfile", hosts.hostfile, "--disable-cache"),
        "prefix": hosts.prefix,
        "environment": hosts.environment,
    }
    said = finish(start(data_set, two, "torch", 2, **options))
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
