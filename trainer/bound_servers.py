"""Horovod's servers in the launcher: on the interface that the ranks use, where Horovod takes all there are.

The rendezvous server asks nobody who they are: whoever reaches its port can read and change who takes part.
On one host it is then reached on the loopback interface alone, on several on the interface that all share, or
that --network-interface names. Two cases are left with every interface: the search for the shared one, whose
messages are signed, and an elastic run for which none is named, whose server starts before any host is known.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Server = TypeVar("Server")

_ALL = ""
_FIRST_PORT, _END_PORT = 1024, 65_536
_TRIES = 1_000


class Address:
    """Where the servers that start from now on listen."""

    def __init__(self) -> None:
        self.host = _ALL

    def choose(self, interfaces: Iterable[str] | None) -> None:
        """The address of one of these interfaces; all of them for none, or for one that is not here."""
        from horovod.runner.util.network import get_driver_ip

        try:
            # The same choice as the launcher's, which tells it to the ranks.
            self.host = get_driver_ip(interfaces) if interfaces else _ALL
        except (KeyError, RuntimeError):  # the launcher itself says so
            self.host = _ALL

    def find_port(self, make_server: Callable[[tuple[str, int]], Server]) -> tuple[Server, int]:
        """In the place of Horovod's own: a server on a free port. Raises OSError where there is none."""
        for _ in range(_TRIES):
            port = random.randrange(_FIRST_PORT, _END_PORT)
            try:
                return make_server((self.host, port)), port
            except OSError as error:
                last = error
        raise last


def bind_servers() -> Address:
    """Have Horovod's launcher in this process listen on the interface that is used; where that is."""
    from horovod.runner import launch
    from horovod.runner.common.util import network
    from horovod.runner.driver import driver_service
    from horovod.runner.http import http_server

    address = Address()
    http_server.find_port = network.find_port = address.find_port
    find_interfaces, run_elastic = driver_service.get_common_interfaces, launch.gloo_run_elastic

    def get_common_interfaces(settings: Any, *hosts: Any, **more: Any) -> Any:
        address.choose(settings.nics)
        found = find_interfaces(settings, *hosts, **more)
        address.choose(found)
        return found

    def gloo_run_elastic(settings: Any, *arguments: Any) -> Any:
        address.choose(settings.nics)
        return run_elastic(settings, *arguments)

    driver_service.get_common_interfaces = get_common_interfaces
    launch.gloo_run_elastic = gloo_run_elastic
    return address
