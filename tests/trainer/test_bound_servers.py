"""The launcher's server listens where the ranks are, and nowhere else."""

from types import SimpleNamespace

import pytest

pytest.importorskip("horovod")

from horovod.runner import launch
from horovod.runner.common.util import network
from horovod.runner.driver import driver_service
from horovod.runner.http import http_server

from trainer.bound_servers import bind_servers

ALL, LOOPBACK = "0.0.0.0", "127.0.0.1"


@pytest.fixture
def address(monkeypatch):
    """Horovod bound, and unbound after the test."""
    monkeypatch.setattr(launch, "gloo_run_elastic", lambda settings, *arguments: _listening())
    for module, name in (
        (http_server, "find_port"),
        (network, "find_port"),
        (driver_service, "get_common_interfaces"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    return bind_servers()


def _listening() -> str:
    """Where a rendezvous server listens that starts now."""
    server = http_server.RendezvousServer()
    server.start()
    try:
        return server._httpd.server_address[0]
    finally:
        server.stop()
        server._httpd.server_close()


def _settings(nics: set[str] | None) -> SimpleNamespace:
    return SimpleNamespace(nics=nics, verbose=0)


def test_ranks_of_one_host_use_the_loopback_interface(address):
    assert _listening() == ALL, "Horovod's own way"
    found = launch.driver_service.get_common_interfaces(_settings(None), ["localhost"], [], None)
    assert _listening() == LOOPBACK and "lo" in found


@pytest.mark.parametrize(("nics", "host"), [({"lo"}, LOOPBACK), (None, ALL), ({"no-such"}, ALL)])
def test_an_elastic_run_uses_the_interface_that_is_named(address, nics, host):
    assert launch.gloo_run_elastic(_settings(nics), {}, [], "python") == host


def test_the_interface_of_several_hosts(address, monkeypatch):
    monkeypatch.setattr(driver_service, "_driver_fn", lambda *given, **more: {"lo"})
    driver_service.get_common_interfaces(_settings(None), ["a", "b"], ["b"], None)
    assert _listening() == LOOPBACK


def test_another_port_is_tried_where_one_is_taken(address):
    refused = []

    def make_server(place):
        if len(refused) < 3:
            refused.append(place)
            raise OSError
        return place

    server, port = address.find_port(make_server)
    assert server == ("", port) and len(refused) == 3 and 1024 <= port < 65_536

    def fail(place):
        raise OSError("none is free")

    with pytest.raises(OSError, match="none is free"):
        address.find_port(fail)
