"""Set-up, a small demo and some tests on fresh Debian machines: `make test-fresh`, as root.

Each machine is a folder made by debootstrap (Debian's package of that name) and entered with chroot: a
minimal system, a user of its own, an empty HOME, the project as a clean clone of what is committed here.

- On the first the doctor names what is missing; exactly that command is run, and then the doctor must be
  content. `make setup` is killed in the middle, then must complete without downloading again what it has;
  again, it must find nothing to do. Then `make demo` and some tests.
- On the second the Dockerfile's own steps run, and some stages as the image's user.
- On the third, without a compiler and as root, group spark alone and `make claims preprocess`; then group
  torch, where Horovod is left out and `NP=2` says so; and a target whose group is missing.

It prints the sizes and times that README.md quotes. FRESH_ARGS: --suites bookworm, --parts spark,
--patients 500, --tests "tests/schemas", --keep. An index, a proxy or certificates that this machine's
environment sets are handed on.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dockerfile_steps import PATH, in_root, run_steps
from install import COMPILING

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SUITES = {"bookworm": "Debian 12", "trixie": "Debian 13"}
MIRROR = "http://deb.debian.org/debian"
USER = "newcomer"
HANDED_ON = ("http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL", "UV_DEFAULT_INDEX")
CERTIFICATES = "/etc/ssl/of-this-site.crt"
SOME_TESTS = (
    "tests/toolchain tests/schemas tests/spark_jobs/sources tests/trainer/torch_backend tests/distributed"
)
MB = 10**6


class Failed(RuntimeError):
    """A step did not do what it must; the message has its output."""


@dataclass
class Machine:
    """A fresh machine: the folder that is its /, and who works on it."""

    root: str
    user: str = USER
    numbers: dict[str, str] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)

    @property
    def home(self) -> str:
        return "/root" if self.user == "root" else f"/home/{self.user}"

    @property
    def project(self) -> str:
        return f"{self.home}/medbert-lake"

    def inside(self, path: str) -> str:
        """Where a path of the machine is on this one."""
        return self.root + path

    def handed_on(self) -> dict[str, str]:
        """What of this machine's environment is the site's: its proxy, index and certificates."""
        environment = {name: os.environ[name] for name in HANDED_ON if name in os.environ}
        if os.environ.get("SSL_CERT_FILE"):
            environment |= {"SSL_CERT_FILE": CERTIFICATES, "PIP_CERT": CERTIFICATES}
        return environment

    def command(self, words: str, user: str) -> list[str]:
        environment = self.handed_on() | {
            "PATH": PATH,
            "LANG": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
        }
        folder, home = ("/", "/root") if user != self.user else (self.project, self.home)
        environment |= {"HOME": home, "USER": user}
        return in_root(self.root, user, environment, folder, ["sh", "-c", words])

    def run(self, words: str, *, user: str | None = None, fails: bool = False, quiet: bool = False) -> str:
        """Run a line of shell, by the machine's user unless another is named; its output, which is shown too.

        Raises Failed unless it ends as it must: well, or with an error if `fails`.
        """
        user = user or self.user
        print(f"\n[{os.path.basename(self.root)}, {user}] $ {words}", flush=True)
        process = subprocess.Popen(
            self.command(words, user),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
        lines = []
        for line in process.stdout:
            lines.append(line)
            if not quiet:
                print(f"    {line}", end="", flush=True)
        if (process.wait() != 0) != fails:
            raise Failed(f"{words} ended with {process.returncode}:\n{''.join(lines[-40:])}")
        return "".join(lines)

    def timed(self, name: str, words: str) -> str:
        """`run`; notes the seconds and the MB that were received meanwhile."""
        start, received = time.monotonic(), received_bytes()
        output = self.run(words)
        self.numbers[name] = f"{time.monotonic() - start:.0f} s"
        self.note_received(name, received)
        return output

    def note_received(self, name: str, before: int) -> None:
        """Note what this machine has received since it had received `before` bytes."""
        self.received[name] = received_bytes() - before
        self.numbers[f"{name}: downloaded"] = f"{self.received[name] / MB:,.0f} MB"

    def kill_in_the_middle(self, words: str, at: str) -> None:
        """Start a command, and kill -9 all its processes as soon as a line of its output has `at` in it."""
        print(f"\n[{os.path.basename(self.root)}, {self.user}] $ {words}   (killed at: {at})", flush=True)
        process = subprocess.Popen(
            self.command(words, self.user),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        for line in process.stdout:
            print(f"    {line}", end="", flush=True)
            if at in line:
                time.sleep(5)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return
        raise Failed(f"{words} ended without a line with {at}")

    def size(self, path: str) -> str:
        """MB below a path of the machine."""
        done = subprocess.run(["du", "-sm", self.inside(path)], capture_output=True, text=True, check=True)
        return f"{int(done.stdout.split()[0]) * 2**20 / MB:,.0f} MB"


def received_bytes() -> int:
    """What this machine's network interfaces, but the loopback, have received."""
    with open("/proc/net/dev", encoding="ascii") as file:
        rows = [line.split(":") for line in file if ":" in line]
    return sum(int(row[1].split()[0]) for row in rows if row[0].strip() != "lo")


@contextlib.contextmanager
def fresh_machine(folder: str, suite: str, name: str, user: str, keep: bool) -> Iterator[Machine]:
    """A machine with nothing but the minimal system, the user, and the project."""
    base, root = os.path.join(folder, f"{suite}.base"), os.path.join(folder, name)
    if not os.path.exists(f"{base}/etc/debian_version"):
        print(f"Making a minimal system: debootstrap {suite}", flush=True)
        shutil.rmtree(base, ignore_errors=True)
        subprocess.run(
            ["debootstrap", "--variant=minbase", suite, base, MIRROR], check=True, stdout=subprocess.DEVNULL
        )
    unmount(root)
    subprocess.run(["rm", "-rf", "--one-file-system", root], check=True)
    subprocess.run(["cp", "-a", base, root], check=True)
    machine = Machine(root, user)
    try:
        prepare(machine)
        yield machine
    finally:
        unmount(root)
        if not keep:
            subprocess.run(["rm", "-rf", "--one-file-system", root], check=True)


def prepare(machine: Machine) -> None:
    """Kernel file systems, the network's settings, the user, the clone."""
    for kind, path in (("proc", "/proc"), ("tmpfs", "/dev/shm")):
        os.makedirs(machine.inside(path), exist_ok=True)
        subprocess.run(["mount", "-t", kind, kind, machine.inside(path)], check=True)
    os.chmod(machine.inside("/dev/shm"), 0o1777)
    shutil.copy("/etc/resolv.conf", machine.inside("/etc/resolv.conf"))
    with open(machine.inside("/etc/hosts"), "w", encoding="ascii") as file:
        file.write("127.0.0.1 localhost\n")
    with open(machine.inside("/etc/apt/apt.conf.d/99unattended"), "w", encoding="ascii") as file:
        file.write('APT::Get::Assume-Yes "true";\nAPT::Install-Recommends "false";\nquiet "2";\n')
    if os.environ.get("SSL_CERT_FILE"):
        os.makedirs(os.path.dirname(machine.inside(CERTIFICATES)), exist_ok=True)
        shutil.copy(os.environ["SSL_CERT_FILE"], machine.inside(CERTIFICATES))
    if machine.user != "root":
        machine.run(f"useradd --create-home --shell /bin/sh {machine.user}", user="root", quiet=True)
    subprocess.run(["git", "clone", "--quiet", ROOT, machine.inside(machine.project)], check=True)
    subprocess.run(["chroot", machine.root, "chown", "-R", f"{machine.user}:", machine.project], check=True)


def unmount(root: str) -> None:
    for path in ("/dev/shm", "/proc"):
        if os.path.ismount(root + path):
            subprocess.run(["umount", "--lazy", root + path], check=True)


def install_what_the_doctor_names(machine: Machine, options: str = "") -> None:
    """Run the one command that the doctor names; then it must be content."""
    doctor = f"sh toolchain/doctor.sh {options}"
    machine.run(doctor, fails=True)
    command = machine.run(f"{doctor} --print-command", quiet=True).strip().replace("sudo ", "")
    if not command:
        raise Failed("The doctor names no command.")
    machine.run(command, user="root", quiet=True)
    machine.run(doctor if options else "make doctor")
    versions = machine.run("python3 --version; java -version 2>&1 | head -1", quiet=True)
    machine.numbers["system"] = "; ".join(versions.split("\n")[:2])


def whole_way(machine: Machine, options: argparse.Namespace) -> None:
    """Set-up, killed and completed; the demo; tests."""
    install_what_the_doctor_names(machine)
    received = received_bytes()
    # When all is downloaded, and Horovod half compiled.
    machine.kill_in_the_middle("make setup", at=f"{COMPILING} ...")
    machine.note_received("set-up, killed", received)
    machine.timed("set-up after the kill", "make setup")
    machine.run(f"rm -rf .venv {machine.home}/.cache")
    machine.timed("set-up, no caches", "make setup")
    if machine.received["set-up after the kill"] > machine.received["set-up, no caches"] / 20:
        raise Failed("the set-up after the kill downloaded again what the killed one had")
    machine.numbers[".venv of spark,torch"] = machine.size(f"{machine.project}/.venv")
    machine.numbers["caches of spark,torch"] = machine.size(f"{machine.home}/.cache")
    machine.timed("set-up, nothing to do", "make setup")
    machine.timed("demo", f"make demo PATIENTS={options.patients}")
    machine.run("make report embed RUN=runs/demo && ls runs/demo/report.html", quiet=True)
    machine.timed("tests, with their set-up", f'make test PYTEST_ARGS="{options.tests}"')
    machine.numbers[".venv of all groups"] = machine.size(f"{machine.project}/.venv")
    machine.run("rm -rf .venv")
    machine.timed(
        "set-up of all groups, from the caches", "make setup GROUPS=spark,torch,tensorflow,serve,dev"
    )


def spark_alone(machine: Machine, options: argparse.Namespace) -> None:
    """Without a compiler: group spark, then torch without Horovod."""
    install_what_the_doctor_names(machine, "--groups spark")
    machine.run("command -v g++ c++ clang++ gcc cc", fails=True)
    machine.timed("set-up of spark", "make setup GROUPS=spark")
    machine.numbers[".venv of spark"] = machine.size(f"{machine.project}/.venv")
    machine.timed("claims, preprocess", f"make claims preprocess PATIENTS={options.patients}")
    said = machine.run("make pretrain", fails=True)
    if "make setup GROUPS=spark,torch" not in said:
        raise Failed("make pretrain does not say which group to add")
    machine.run("apt install patch", user="root", quiet=True)
    machine.timed("set-up of spark,torch without a compiler", "make setup GROUPS=spark,torch")
    train = 'make pretrain CONFIG=configs/demo.yaml TRAIN_ARGS="--steps 5"'
    machine.run(train)
    if "Horovod" not in machine.run(f"{train} NP=2", fails=True):
        raise Failed("NP=2 does not say that Horovod is missing")


def image(machine: Machine, options: argparse.Namespace) -> None:
    """The Dockerfile's steps, then what `docker run` would start."""
    handed_on = machine.handed_on()
    made = run_steps(os.path.join(ROOT, "Dockerfile"), machine.root, {"GROUPS": "spark,torch"}, handed_on)
    machine.numbers["the image's /opt/medbert-lake"] = machine.size("/opt/medbert-lake")
    for words in ("make setup", f"make claims preprocess PATIENTS={options.patients}"):
        print(f"\n[{os.path.basename(machine.root)}, the image's user] $ {words}", flush=True)
        command = made.start(["sh", "-c", words], handed_on)
        if subprocess.run(command, stdin=subprocess.DEVNULL).returncode:
            raise Failed(f"{words} failed in the image")


# Part → what the table calls it, who works on the machine, what is done.
PARTS = {
    "whole": ("as a user", USER, whole_way),
    "image": ("the image's steps", "root", image),
    "spark": ("as root, no compiler", "root", spark_alone),
}


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", default="/var/tmp/medbert-fresh", help="where the machines are made")
    parser.add_argument("--suites", nargs="+", choices=SUITES, default=list(SUITES))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--patients", type=int, default=2000)
    parser.add_argument("--tests", default=SOME_TESTS, help="what pytest is given")
    parser.add_argument("--keep", action="store_true", help="do not remove the machines at the end")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    options = arguments_of(words)
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        print(
            "make test-fresh must be run as root (chroot), with Debian's package debootstrap.",
            file=sys.stderr,
        )
        return 1
    os.makedirs(options.folder, exist_ok=True)
    tables = {}
    try:
        for suite in options.suites:
            for part in options.parts:
                title, user, work = PARTS[part]
                with fresh_machine(options.folder, suite, f"{suite}-{part}", user, options.keep) as machine:
                    tables[f"{SUITES[suite]}, {title}"] = machine.numbers
                    work(machine, options)
    except Failed as error:
        print(f"\nFAILED: {error}", file=sys.stderr)
        return 1
    finally:
        for title, numbers in tables.items():
            print(f"\n{title}")
            for name, value in numbers.items():
                print(f"  {name:45} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
