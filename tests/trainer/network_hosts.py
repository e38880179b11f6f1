"""Two hosts on this machine: network namespaces, joined by a cable. Neither has the other's addresses.

Only ssh is replaced, by a script that runs a command in the namespace of the host that it is given. As with
ssh, that is no process below the one that asked for it, and its exit code comes back.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

INTERFACE = "eth0"
ADDRESSES = ("10.77.0.1", "10.77.0.2")

_SSH = """\
#!/bin/sh
# In the place of ssh: a host, options before and after it, then a command for its shell.
host=
while :; do
    case $1 in
        -o | -p | -i) shift 2 ;;
        *) [ -z "$host" ] || break
           host=$1
           shift ;;
    esac
done
echo "$host" >> {log}
case $host in
{cases}
    *) echo "ssh: no route to $host" >&2; exit 255 ;;
esac
session=$(mktemp -d -p {folder})
trap 'kill -- $! -$(cat $session/group); exit 143' TERM
mkfifo $session/code
setsid --fork ip netns exec "$namespace" sh -c 'echo $$ >$0/group; sh -c "$1"; echo $? >$0/code' $session "$*"
cat $session/code >$session/ended 2>/dev/null &
wait $!
exit $(cat $session/ended)
"""


@dataclass(frozen=True)
class Hosts:
    """What a test needs to start something on the first host."""

    prefix: tuple[str, ...]
    """Runs a command on the first host."""
    hostfile: str
    """The hosts for the launcher, one rank each, as in deploy/hostfile.example."""
    environment: dict[str, str]
    ssh_log: str
    """A line a command that went through ssh: its host."""
    names: tuple[str, ...]

    def cut_cable(self) -> None:
        """What the second host says does not arrive any more."""
        _ip("-n", self.names[1], "link", "set", INTERFACE, "down")


@contextmanager
def two_hosts(folder: str) -> Iterator[Hosts]:
    """Make the hosts, and remove them in the end. Skips where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    if not shutil.which("ip"):
        pytest.skip("ip (iproute2), which makes network namespaces, is not installed")
    names = tuple(f"medbert-{os.getpid()}-{number}" for number in (1, 2))
    try:
        _make(names)
        yield Hosts(
            prefix=("ip", "netns", "exec", names[0]),
            hostfile=_write(f"{folder}/hostfile", "".join(f"{address} slots=1\n" for address in ADDRESSES)),
            environment={"PATH": f"{_write_ssh(folder, names)}:{os.environ['PATH']}"},
            ssh_log=f"{folder}/ssh.log",
            names=names,
        )
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def _make(names: tuple[str, ...]) -> None:
    for name in names:
        made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
        if made.returncode:
            pytest.skip(f"network namespaces are not allowed here: {made.stderr.strip()}")
    first, second = names
    _ip("link", "add", INTERFACE, "netns", first, "type", "veth", "peer", INTERFACE, "netns", second)
    for name, address in zip(names, ADDRESSES, strict=True):
        _ip("-n", name, "address", "add", f"{address}/24", "dev", INTERFACE)
        for interface in ("lo", INTERFACE):
            _ip("-n", name, "link", "set", interface, "up")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


def _write_ssh(folder: str, names: tuple[str, ...]) -> str:
    """The folder of a program named ssh."""
    cases = "\n".join(
        f"    {address}) namespace={name} ;;" for address, name in zip(ADDRESSES, names, strict=True)
    )
    script = _SSH.format(folder=folder, log=f"{folder}/ssh.log", cases=cases)
    os.makedirs(f"{folder}/bin")
    os.chmod(_write(f"{folder}/bin/ssh", script), 0o755)
    return f"{folder}/bin"


def _write(path: str, text: str) -> str:
    with open(path, "w") as stream:
        stream.write(text)
    return path
