"""doctor.sh names what a machine lacks, why it is needed, and the command that gets it."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REAL = ("chmod", "cat", "dirname", "id", "mktemp", "printf", "rm")
FACTS = {
    "version": "3.11.2",
    "executable": "",
    "prefix": "/usr",
    "implementation": "cpython",
    "machine": "x86_64",
    "bits": 64,
    "lacking": "",
    "venv": "yes",
    "headers": "yes",
    "threads": "",
    "libc": "",
    "libstdcxx": "yes",
}
COMPILER = """\
case " $* " in *" -E "*) echo '{macros}'; exit 0 ;; esac
[ {compiles} = 1 ] || exit 1
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\nexit {exits}\\n' >"$2"
chmod 755 "$2"
"""
SYSTEMS = {
    "bookworm": 'ID=debian\nVERSION_ID="12"\n',
    "trixie": 'ID=debian\nVERSION_ID="13"\n',
    "sid": "ID=debian\n",
    "jammy": 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\nUBUNTU_CODENAME=jammy\n',
    "noble": 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\nUBUNTU_CODENAME=noble\n',
    "mint": 'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_ID="22"\nUBUNTU_CODENAME=noble\n',
    "fedora42": "ID=fedora\nVERSION_ID=42\n",
    "fedora44": "ID=fedora\nVERSION_ID=44\n",
    "fedora45": "ID=fedora\nVERSION_ID=45\n",
    "rhel8": 'ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="8.10"\n',
    "rocky9": 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.5"\n',
    "alma10": 'ID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="10.0"\n',
    "springdale": 'ID="springdale"\nID_LIKE="rhel fedora"\nVERSION_ID="9.2"\n',
    "amazon": 'ID="amzn"\nID_LIKE="fedora"\nVERSION_ID="2023"\n',
    "arch": "ID=arch\n",
}
EVERYTHING = ("python3", "java", "make", "patch", "g++")


class Machine:
    """A machine made of stubs: usr/bin is its PATH, and `root` takes the place of /."""

    def __init__(self, root: Path, project_root: str):
        self.root = root
        self.bin = root / "usr/bin"
        self.home = root / "home"
        self.project = root / "project"
        for folder in (self.bin, self.home, root / "dev/shm", root / "tmp"):
            folder.mkdir(parents=True)
        toolchain = Path(project_root, "toolchain")
        shutil.copytree(toolchain / "doctor", self.project / "toolchain/doctor")
        shutil.copy(toolchain / "doctor.sh", self.project / "toolchain")
        for name in REAL:
            (self.bin / name).symlink_to(shutil.which(name))
        self.kernel("Linux", "x86_64")
        self.program("id", "case $1 in -u) echo 0 ;; *) echo root ;; esac")
        self.program("getconf", "echo 'glibc 2.36'")
        self.disk(100_000)
        self.file("etc/os-release", SYSTEMS["bookworm"])
        self.file("proc/meminfo", "MemTotal:       16000000 kB\nMemFree: 1 kB\n")
        self.file("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu sse4_2 avx\n")
        self.python()
        self.java(self.bin / "java", "17.0.15")
        self.compiler("g++")
        self.compiler("cc")
        for name in ("make", "patch", "bash", "ip", "prlimit", "chromium"):
            self.program(name, "exit 0")

    def file(self, name: str, content: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def program(self, name: str | Path, script: str) -> None:
        path = self.bin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def without(self, *names: str) -> None:
        for name in names:
            (self.bin / name).unlink()

    def kernel(self, name: str, machine: str) -> None:
        self.program("uname", f"case $1 in -s) echo {name} ;; -m) echo {machine} ;; esac")

    def disk(self, free_mb: int, **others: int) -> None:
        """MB free on the disk with everything, and on those of folders that have one of their own."""
        disks = "".join(f"{self.root}/{name}*) free={mb} disk={name} ;; " for name, mb in others.items())
        self.program(
            "df",
            f"case $2 in {disks}*) free={free_mb} disk=all ;; esac\n"
            "echo 'Filesystem 1024-blocks Used Available Capacity Mounted on'\n"
            'echo "map auto 1 1 $((free * 125000 / 128)) 25% /mnt/$disk"',
        )

    def python(self, name: str | Path = "python3", **facts: object) -> None:
        said = "\n".join(f"{key}={value}" for key, value in (FACTS | facts).items())
        self.program(name, f"cat <<'END'\n{said}\nEND")

    def java(self, path: Path, version: str, vendor: str = "openjdk") -> None:
        self.program(path, f"echo '{vendor} version \"{version}\" 2025-04-15' >&2")

    def compiler(
        self, name: str, macros="__apple_build_version__ __clang_major__ 12", compiles=1, exits=0
    ) -> None:
        self.program(name, COMPILER.format(macros=macros, compiles=compiles, exits=exits))

    def mac(self, machine: str = "arm64") -> None:
        """Make it a Mac, complete but for libuv."""
        self.kernel("Darwin", machine)
        shutil.rmtree(self.root / "proc")
        (self.root / "etc/os-release").unlink()
        self.without("getconf", "ip", "prlimit", "g++")
        self.program("sysctl", "echo 17179869184")
        self.program("xcode-select", "exit 0")
        self.program("brew", "exit 0")
        self.python(machine=machine)
        self.compiler("c++", "15000000 15 4")

    def run(
        self, *arguments: str, shell: tuple[str, ...] = ("/bin/sh",), **environment: str | None
    ) -> tuple[int, str]:
        """Exit status and output. environment: None takes a variable away."""
        values = {
            "PATH": str(self.bin),
            "HOME": str(self.home),
            "TMPDIR": str(self.root / "tmp"),
            "MEDBERT_DOCTOR_ROOT": str(self.root),
        } | environment
        done = subprocess.run(
            [*shell, str(self.project / "toolchain/doctor.sh"), *arguments],
            env={name: value for name, value in values.items() if value is not None},
            capture_output=True,
            text=True,
        )
        assert done.stderr == "" or done.returncode == 2, done.stderr
        assert not list(self.root.rglob(".doctor.*")) and not list((self.root / "tmp").iterdir())
        return done.returncode, (done.stdout or done.stderr).replace(str(self.root), "")


@pytest.fixture
def machine(tmp_path, project_root):
    """A complete machine: Debian 12 on x86_64."""
    return Machine(tmp_path / "machine", project_root)


def findings(output: str, kind: str) -> dict[str, str]:
    """The lines of a kind (ok, MISSING, warning): name to text."""
    lines = [line.split(maxsplit=1)[1] for line in output.splitlines() if line.startswith(f"  {kind} ")]
    return dict(line.split(": ", 1) for line in lines)


def command(output: str) -> str | None:
    """The one command that is named, None if there is none."""
    commands = [line.strip() for line in output.splitlines() if line.startswith("    ")]
    assert len(commands) <= 1
    return commands[0] if commands else None


def refused(machine: Machine, *arguments: str, **environment: str | None) -> str:
    """Why the one thing that is missing is missing."""
    status, output = machine.run(*arguments, **environment)
    (why,) = findings(output, "MISSING").values()
    assert status == 1 and "1 missing" in output
    return why


def test_print_command_is_empty_where_nothing_is_missing(machine):
    assert machine.run("--print-command") == (0, "")


def test_complete_machine_passes(machine):
    status, output = machine.run()
    assert status == 0
    assert findings(output, "MISSING") == findings(output, "warning") == {}
    assert findings(output, "ok")["Python 3.11, 3.12 or 3.13"] == "3.11.2 (/usr/bin/python3)"
    assert findings(output, "ok")["Java 17 or later"] == "17.0.15 (/usr/bin/java)"
    assert command(output) is None
    assert output.endswith("This machine has what set-up needs.\n")


def test_quiet_says_only_what_is_missing(machine):
    assert machine.run("--quiet") == (0, "")
    machine.without("make")
    status, output = machine.run("--quiet")
    assert status == 1
    assert findings(output, "ok") == {} and list(findings(output, "MISSING")) == ["make"]


def test_wrong_options_are_refused(machine):
    for arguments in (("--groups", "spark,gpu"), ("--horovod", "2"), ("--fix",), ("--python",)):
        status, output = machine.run(*arguments)
        assert status == 2
        assert arguments[-1].split(",")[-1] in output


# --- Shells ---


def scripts(project_root: str) -> list[Path]:
    toolchain = Path(project_root, "toolchain")
    return [toolchain / "doctor.sh", *sorted(toolchain.glob("doctor/*.sh"))]


@pytest.mark.parametrize("shell", ["dash", "busybox", "bash", "yash", "mksh"])
def test_each_shell_says_the_same(machine, shell):
    path = shutil.which(shell)
    if not path:
        pytest.skip(f"there is no {shell} here")
    # Busybox takes its own uname, df and id, whatever is on PATH: then both shells take the real ones.
    for name in ("uname", "df", "id") if shell == "busybox" else ():
        (machine.bin / name).unlink()
        (machine.bin / name).symlink_to(shutil.which(name))
    machine.compiler("clang++", "__apple_build_version__ 9 4")
    options = {"busybox": ("sh",), "bash": ("--posix",)}.get(shell, ())
    for absent in ((), ("make", "patch", "g++"), ("python3", "java")):
        machine.without(*absent)
        for arguments in (
            (),
            ("--horovod", "1"),
            ("--groups", "spark"),
            ("--print-python",),
            ("--print-command",),
            ("--print-horovod",),
        ):
            expected = machine.run(*arguments)
            found = machine.run(*arguments, shell=(path, *options))
            if shell == "busybox":  # the real disk's free space changes meanwhile
                expected, found = (
                    (status, re.sub(r"[\d,.]+ [MG]B", "SIZE", output)) for status, output in (expected, found)
                )
            assert found == expected


def test_scripts_are_ascii(project_root):
    """A shell in the C locale may refuse anything else."""
    for script in scripts(project_root):
        assert script.read_bytes().isascii(), script


def test_scripts_pass_shellcheck(project_root):
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", "-s", "sh", *scripts(project_root)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# --- What is missing, by group ---


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ("spark", {"Python 3.11, 3.12 or 3.13", "Java 17 or later", "make"}),
        ("torch", {"Python 3.11, 3.12 or 3.13", "make", "patch"}),
        ("tensorflow,serve", {"Python 3.11, 3.12 or 3.13", "make", "patch"}),
        ("serve", {"Python 3.11, 3.12 or 3.13", "make"}),
        ("dev", {"Python 3.11, 3.12 or 3.13", "Java 17 or later", "make"}),
    ],
)
def test_each_group_asks_for_what_it_needs(machine, groups, expected):
    machine.without(*EVERYTHING)
    status, output = machine.run("--groups", groups)
    assert status == 1
    assert set(findings(output, "MISSING")) == expected
    assert f"{len(expected)} missing. Run the command above, then make setup." in output


@pytest.mark.parametrize(
    ("horovod", "groups", "kind"),
    [
        ("1", "torch", "MISSING"),
        ("auto", "tensorflow", "warning"),
        ("0", "torch", None),
        ("1", "spark", None),
    ],
)
def test_compiler_is_needed_where_horovod_is_built(machine, horovod, groups, kind):
    machine.without("g++")
    status, output = machine.run("--horovod", horovod, "--groups", groups)
    assert status == (1 if kind == "MISSING" else 0)
    for each in ("MISSING", "warning"):
        names = [name for name in findings(output, each) if name.startswith("C++ compiler")]
        assert len(names) == (each == kind)
    assert ("NP=2 needs it" in output) == (kind == "warning")
    assert command(output) == (None if kind is None else "apt update && apt install g++")


def test_headers_are_needed_where_horovod_is_built(machine):
    machine.python(headers="")
    assert machine.run("--groups", "spark,serve")[0] == 0
    assert machine.run("--horovod", "0")[0] == 0
    status, output = machine.run()
    assert status == 0 and "Python.h" in findings(output, "warning")
    status, output = machine.run("--horovod", "1")
    assert status == 1 and "Python.h" in findings(output, "MISSING")
    assert command(output) == "apt update && apt install python3.11-dev"


@pytest.mark.parametrize(
    ("horovod", "absent", "built"),
    [("0", (), "0"), ("1", ("g++",), "1"), ("auto", (), "1"), ("auto", ("g++",), "0")],
)
def test_print_horovod(machine, horovod, absent, built):
    machine.without(*absent)
    assert machine.run("--print-horovod", "--horovod", horovod) == (0, f"{built}\n")
    assert machine.run("--print-horovod", "--horovod", horovod, "--groups", "spark") == (0, "0\n")


def test_print_horovod_without_headers(machine):
    machine.python(headers="")
    assert machine.run("--print-horovod") == (0, "0\n")


def test_commands_of_tests_are_only_a_warning(machine):
    machine.without("ip", "prlimit", "chromium")
    assert findings(machine.run("--groups", "spark,torch")[1], "warning") == {}
    status, output = machine.run()
    assert status == 0
    why = findings(output, "warning")["commands of some tests"]
    assert "ip, prlimit, chromium" in why and "Packages: iproute2 util-linux chromium." in why
    assert command(output) is None


def test_gpu_needs_cuda_s_compiler_and_wants_a_driver(machine):
    status, output = machine.run("--gpu")
    assert status == 1
    assert set(findings(output, "MISSING")) == {"nvcc"}
    assert "driver" in findings(output, "warning")["nvidia-smi"]
    machine.program("nvcc", "exit 9")
    assert "does not run" in refused(machine, "--gpu")
    machine.program("nvcc", "exit 0")
    status, output = machine.run("--gpu")
    assert status == 0, "an image is built where there is no GPU"
    assert "nvidia-smi" in findings(output, "warning")
    machine.program("nvidia-smi", "exit 9")
    assert "does not run" in findings(machine.run("--gpu")[1], "warning")["nvidia-smi"]
    machine.program("nvidia-smi", "exit 0")
    assert "nvidia-smi" not in findings(machine.run("--gpu")[1], "warning")


# --- Systems and their packages ---


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("bookworm", "apt install python3 python3-venv openjdk-17-jre-headless make patch g++ python3-dev"),
        ("trixie", "apt install python3 python3-venv openjdk-21-jre-headless make patch g++ python3-dev"),
        ("noble", "apt install python3 python3-venv openjdk-21-jre-headless make patch g++ python3-dev"),
        ("mint", "apt install python3 python3-venv openjdk-21-jre-headless make patch g++ python3-dev"),
        (
            "jammy",
            "apt install software-properties-common && add-apt-repository ppa:deadsnakes/ppa && apt install "
            "python3.12 python3.12-venv openjdk-17-jre-headless make patch g++ python3.12-dev",
        ),
        ("fedora42", "dnf install python3 java-21-openjdk-headless make patch gcc-c++ python3-devel"),
        ("fedora44", "dnf install python3.13 java-21-openjdk-headless make patch gcc-c++ python3.13-devel"),
        ("fedora45", "dnf install python3.13 java-25-openjdk-headless make patch gcc-c++ python3.13-devel"),
        (
            "rhel8",
            "dnf install python3.12 java-21-openjdk-headless make patch gcc-toolset-13-gcc-c++ "
            "python3.12-devel && . /opt/rh/gcc-toolset-13/enable",
        ),
        ("rocky9", "dnf install python3.12 java-21-openjdk-headless make patch gcc-c++ python3.12-devel"),
        ("springdale", "dnf install python3.12 java-21-openjdk-headless make patch gcc-c++ python3.12-devel"),
        ("alma10", "dnf install python3 java-21-openjdk-headless make patch gcc-c++ python3-devel"),
    ],
)
def test_one_command_gets_everything(machine, system, expected):
    machine.file("etc/os-release", SYSTEMS[system])
    machine.without(*EVERYTHING)
    status, output = machine.run()
    assert status == 1
    assert command(output) == expected.replace("apt install", "apt update && apt install", 1)
    assert "To get, as your system has them" not in output
    assert machine.run("--print-command") == (0, f"{command(output)}\n")


@pytest.mark.parametrize("system", ["arch", "amazon", "nothing"])
def test_unknown_system_gets_the_names_in_words(machine, system):
    machine.file("etc/os-release", SYSTEMS.get(system, ""))
    if system == "nothing":
        (machine.root / "etc/os-release").unlink()
    machine.without(*EVERYTHING)
    status, output = machine.run()
    assert status == 1 and command(output) is None
    assert "To get, as your system has them: Python 3.11, 3.12 or 3.13" in output
    for words in ("Java 17 or later", "make", "patch", "a C++ compiler", "Python.h"):
        assert words in output.split("as your system has them")[1]
    assert "4 missing: see above, then make setup." in output


def test_debian_of_unknown_number_gets_packages_and_words(machine):
    machine.file("etc/os-release", SYSTEMS["sid"])
    machine.without(*EVERYTHING)
    output = machine.run()[1]
    assert command(output) == "apt update && apt install make patch g++"
    assert "Python 3.11, 3.12 or 3.13" in output and "Java 17 or later" in output


def test_mac_takes_homebrew_and_apple_s_tools(machine):
    machine.mac()
    machine.without("python3", "java", "make")
    machine.program("xcode-select", "exit 2")
    status, output = machine.run("--horovod", "1")
    assert status == 1
    assert command(output) == (
        "xcode-select --install && brew install python@3.13 openjdk@21 libuv pkgconf && export "
        'JAVA_HOME="$(brew --prefix openjdk@21)/libexec/openjdk.jdk/Contents/Home"'
    )
    machine.without("brew")
    assert "Homebrew" in machine.run()[1]


def test_complete_mac_passes(machine):
    machine.mac()
    status, output = machine.run()
    assert status == 0
    assert list(findings(output, "warning")) == ["libuv"]
    machine.program("pkg-config", '[ "$2" = "libuv >= 1.26" ]')
    status, output = machine.run("--horovod", "1")
    assert status == 0, output
    assert "Apple's clang 15" in output and "17.1 GB" in findings(output, "ok")["4 GB of memory"]


def test_apple_s_stand_ins_are_not_run(machine):
    """They open a window that offers the command line tools."""
    machine.mac()
    machine.program("xcode-select", "exit 2")
    for name in ("python3", "make", "c++"):
        machine.program(name, f"touch {machine.root}/opened")
    missing = findings(machine.run("--horovod", "1")[1], "MISSING")
    assert {"make", "Python 3.11, 3.12 or 3.13"} <= set(missing)
    assert not (machine.root / "opened").exists()


def test_intel_mac_is_refused_for_the_frameworks(machine):
    machine.mac("x86_64")
    assert "publish no wheels for Macs with Intel" in refused(machine, "--groups", "spark,torch")
    assert "publish no wheels" in refused(machine, "--groups", "tensorflow")
    assert machine.run("--groups", "spark,serve")[0] == 0


def test_sudo_for_all_but_root(machine):
    machine.program("id", "case $1 in -u) echo 1000 ;; *) echo ada ;; esac")
    machine.without("make")
    output = machine.run()[1]
    assert command(output) == "apt update && apt install make" and "As root:" in output
    machine.program("sudo", "exit 0")
    output = machine.run()[1]
    assert command(output) == "sudo apt update && sudo apt install make" and "As root:" not in output


def test_small_fedora_has_another_dnf(machine):
    machine.file("etc/os-release", SYSTEMS["rocky9"])
    machine.without("make")
    machine.program("microdnf", "exit 0")
    assert command(machine.run()[1]) == "microdnf install make"


@pytest.mark.parametrize("system", ["MINGW64_NT-10.0", "FreeBSD"])
def test_other_systems_are_refused(machine, system):
    machine.kernel(system, "x86_64")
    assert f"this is {system}" in machine.run()[1]


@pytest.mark.parametrize("name", ["i686", "armv7l", "ppc64le", "riscv64"])
def test_other_processors_are_refused(machine, name):
    machine.kernel("Linux", name)
    assert f"this machine is {name}" in refused(machine)


def test_arm_passes(machine):
    machine.kernel("Linux", "aarch64")
    assert machine.run()[0] == 0


def test_processor_without_avx_is_refused_for_tensorflow(machine):
    machine.file("proc/cpuinfo", "flags\t\t: fpu sse4_2\n")
    assert machine.run("--groups", "spark,torch,serve")[0] == 0
    assert "no avx, which TensorFlow needs." in refused(machine)
    machine.file("proc/cpuinfo", "flags\t\t: fpu\n")
    assert "no sse4_2, which NumPy and pyarrow need." in refused(machine, "--groups", "spark")


@pytest.mark.parametrize(("libc", "fits"), [("2.17", False), ("2.27", False), ("2.28", True), ("2.41", True)])
def test_old_glibc_is_refused(machine, libc, fits):
    machine.program("getconf", f"echo 'glibc {libc}'")
    if fits:
        assert machine.run()[0] == 0
    else:
        assert f"this system has {libc}, older" in refused(machine)
    machine.without("getconf")
    machine.program("ldd", f"echo 'ldd (Debian GLIBC {libc}-9) {libc}'; echo Copyright")
    assert machine.run()[0] == (0 if fits else 1)


def test_musl_is_refused(machine):
    machine.program("getconf", "exit 1")
    machine.program("ldd", "echo 'musl libc (x86_64)' >&2; exit 1")
    assert "musl" in refused(machine)
    machine.without("ldd", "getconf")
    assert "neither getconf nor ldd" in refused(machine)


# --- Python ---


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("2.7.18", "older than"),
        ("3.9.2", "older than"),
        ("3.10.12", "older than"),
        ("3.11.0rc1", "came before the release of 3.11"),
        ("3.11.0", None),
        ("3.12.3", None),
        ("3.13.5", None),
        ("3.13.0b2", "came before the release of 3.13"),
        ("3.14.0", "newer than"),
        ("3.14.0rc1", "newer than"),
        ("4.0.0", "newer than"),
    ],
)
def test_versions_of_python(machine, version, why):
    machine.python(version=version)
    if why:
        assert f"/usr/bin/python3 is {version}" in refused(machine)
        assert why in refused(machine)
        assert machine.run("--print-python") == (1, "")
    else:
        assert machine.run()[0] == 0
        assert machine.run("--print-python") == (0, "/usr/bin/python3\n")


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"implementation": "pypy"}, "not CPython"),
        ({"threads": "free"}, "free threads"),
        ({"bits": 32}, "32 bits"),
        ({"libc": "musl"}, "musl"),
        ({"lacking": "ssl sqlite3"}, "has no ssl sqlite3"),
        ({"venv": ""}, "without venv and ensurepip"),
        ({"libstdcxx": ""}, "libstdc++.so.6"),
    ],
)
def test_incomplete_pythons_are_refused(machine, facts, why):
    machine.python(**facts)
    assert why in refused(machine)


def test_rosetta_s_python_is_refused(machine):
    machine.mac()
    machine.python(machine="x86_64")
    assert "Apple silicon" in refused(machine)


@pytest.mark.parametrize(
    ("system", "version", "facts", "package"),
    [
        ("bookworm", "3.11.2", {"venv": ""}, "python3.11-venv"),
        ("trixie", "3.13.5", {"venv": ""}, "python3.13-venv"),
        ("jammy", "3.12.9", {"venv": "", "headers": ""}, "python3.12-venv python3.12-dev"),
        ("bookworm", "3.11.2", {"venv": "", "lacking": "ssl"}, "python3.11 python3.11-venv"),
        ("rocky9", "3.12.9", {"headers": ""}, "python3.12-devel"),
        ("alma10", "3.12.9", {"headers": ""}, "python3-devel"),
        ("fedora42", "3.13.9", {"headers": ""}, "python3-devel"),
        ("fedora44", "3.13.9", {"headers": ""}, "python3.13-devel"),
        ("bookworm", "3.11.2", {"libstdcxx": ""}, "libstdc++6"),
    ],
)
def test_what_a_system_s_python_lacks_is_in_a_package(machine, system, version, facts, package):
    machine.file("etc/os-release", SYSTEMS[system])
    machine.python(version=version, **facts)
    output = machine.run("--horovod", "1")[1]
    assert command(output).split(" install ")[1] == package


def test_what_another_python_lacks_is_in_no_package(machine):
    machine.python(prefix="/opt/python", venv="", headers="")
    status, output = machine.run("--horovod", "1")
    assert status == 1 and command(output) is None
    assert "make setup PYTHON=" in output


def test_newest_python_is_taken_where_python3_is_not_supported(machine):
    machine.python(version="3.14.0")
    machine.python("python3.11", version="3.11.9")
    machine.python("python3.12", version="3.12.9")
    assert machine.run("--print-python") == (0, "/usr/bin/python3.12\n")
    machine.python(version="3.11.9")
    assert machine.run("--print-python") == (0, "/usr/bin/python3\n")


def test_release_candidate_is_passed_over(machine):
    """Ubuntu 22.04's python3.11 is one."""
    machine.file("etc/os-release", SYSTEMS["jammy"])
    machine.python(version="3.10.12")
    machine.python("python3.11", version="3.11.0rc1")
    why = refused(machine)
    assert "/usr/bin/python3 is 3.10.12" in why and "/usr/bin/python3.11 is 3.11.0rc1" in why
    assert "ppa:deadsnakes/ppa && apt install python3.12 python3.12-venv" in command(machine.run()[1])


def test_programs_that_do_not_run_are_passed_over(machine):
    """Such as pyenv's for a version that is not chosen."""
    shims = machine.root / "shims"
    for name in ("python3", "python3.12"):
        machine.program(shims / name, "echo 'pyenv: not found' >&2; exit 127")
    machine.python("python3.12", version="3.12.9")
    path = f"{shims}:{machine.bin}"
    assert machine.run("--print-python", PATH=path) == (0, "/usr/bin/python3.12\n")


def test_python_asked_for_is_taken(machine):
    other = machine.root / "opt/my python/python3"
    machine.python(other, version="3.13.5", prefix="/opt/my python")
    assert machine.run("--print-python", "--python", str(other)) == (0, "/opt/my python/python3\n")
    assert "3.13.5 (/opt/my python/python3)" in machine.run("--python", str(other))[1]
    machine.python("python3.12", version="3.12.9")
    assert machine.run("--print-python", "--python", "python3.12") == (0, "/usr/bin/python3.12\n")


def test_unfit_python_asked_for_is_refused_with_a_better_one(machine):
    machine.python("python3.10", version="3.10.1")
    for asked, why in (("python3.10", "is 3.10.1"), ("/no/python", "/no/python is not there")):
        assert machine.run("--print-python", "--python", asked) == (1, "")
        said = refused(machine, "--python", asked)
        assert why in said and "make setup PYTHON=/usr/bin/python3" in said
        assert command(machine.run("--python", asked)[1]) is None


def test_python_of_an_environment_gives_way_to_the_one_it_was_made_with(machine):
    machine.python("python3.11")
    machine.python(executable=machine.bin / "python3.11")
    assert machine.run("--print-python") == (0, "/usr/bin/python3.11\n")


def test_this_python_is_understood(machine):
    """What the interpreter that runs this test says of itself."""
    base = getattr(sys, "_base_executable", sys.executable)
    machine.kernel("Linux" if sys.platform == "linux" else "Darwin", platform.machine())
    machine.program("xcode-select", "exit 0")
    status, printed = machine.run("--print-python", "--python", sys.executable)
    assert status == 0
    assert os.path.samefile(printed.strip(), base)
    output = machine.run("--python", sys.executable)[1]
    assert platform.python_version() in findings(output, "ok")["Python 3.11, 3.12 or 3.13"]


# --- Java ---


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("1.8.0_392", False),
        ("9-Debian", False),
        ("11.0.22", False),
        ("16", False),
        ("17", True),
        ("17.0.15", True),
        ("17-ea", True),
        ("21.0.1", True),
        ("25", True),
        ("25.0.1", True),
    ],
)
def test_versions_of_java(machine, version, fits):
    machine.java(machine.bin / "java", version, vendor="java" if version.startswith("1.") else "openjdk")
    if fits:
        assert f"{version} (/usr/bin/java)" in findings(machine.run()[1], "ok")["Java 17 or later"]
    else:
        major = version.removeprefix("1.").split(".")[0].split("-")[0]
        assert f"/usr/bin/java is Java {major} ({version})" in refused(machine)
        assert command(machine.run()[1]) == "apt update && apt install openjdk-17-jre-headless"


def test_java_with_options_from_the_environment(machine):
    said = "echo 'Picked up JAVA_TOOL_OPTIONS: -Xmx1g' >&2; echo 'openjdk version \"21.0.1\" 2023' >&2"
    machine.program("java", said)
    assert machine.run()[0] == 0


def test_java_that_does_not_run(machine):
    machine.program("java", "echo 'error while loading shared libraries' >&2; exit 127")
    assert "/usr/bin/java -version does not run" in refused(machine)
    machine.program("java", "echo hello")
    assert "/usr/bin/java -version does not run" in refused(machine)


def test_macos_s_own_java_is_an_advertisement(machine):
    machine.mac()
    machine.program("java", "echo 'Unable to locate a Java Runtime.' >&2; exit 1")
    assert "macOS's own /usr/bin/java only says where to get one" in refused(machine)


def test_another_java_that_would_do_is_named(machine):
    machine.java(machine.bin / "java", "11.0.22")
    machine.java(machine.root / "usr/lib/jvm/java-11/bin/java", "11.0.22")
    machine.java(machine.root / "usr/lib/jvm/java-21/bin/java", "21.0.1")
    assert "export JAVA_HOME=/usr/lib/jvm/java-21" in refused(machine)
    assert command(machine.run()[1]) is None
    machine.without("java")
    assert "export JAVA_HOME=/usr/lib/jvm/java-21" in refused(machine)


def test_java_home_wins(machine):
    home = machine.root / "opt/java"
    machine.java(home / "bin/java", "21.0.1")
    assert "(/opt/java/bin/java)" in machine.run(JAVA_HOME=str(home))[1]
    machine.java(home / "bin/java", "1.8.0_1")
    assert "another one, /usr/bin/java: unset JAVA_HOME" in refused(machine, JAVA_HOME=str(home))
    shutil.rmtree(home)
    assert "has no bin/java. There is another one" in refused(machine, JAVA_HOME=str(home))
    machine.without("java")
    assert "Once one is installed: unset JAVA_HOME" in refused(machine, JAVA_HOME=str(home))


def test_user_without_a_name(machine):
    machine.program("id", "case $1 in -u) echo 1234 ;; *) exit 1 ;; esac")
    assert "user 1234 has none in /etc/passwd" in refused(machine)
    assert machine.run("--groups", "torch,serve")[0] == 0


# --- Compilers ---


@pytest.mark.parametrize(
    ("macros", "why"),
    [
        ("__apple_build_version__ __clang_major__ 8", "is g++ 8, older than 9"),
        ("__apple_build_version__ __clang_major__ 9", None),
        ("__apple_build_version__ 9 4", "is clang 9, older than 10"),
        ("__apple_build_version__ 10 4", None),
        ("11000033 11 4", "is Apple's clang 11, older than 12"),
        ("12000032 12 4", None),
        ("", "neither g++ nor clang"),
    ],
)
def test_versions_of_compilers(machine, macros, why):
    machine.compiler("g++", macros)
    if why:
        assert why in refused(machine, "--horovod", "1")
    else:
        assert machine.run("--horovod", "1")[0] == 0


def test_compiler_must_compile_and_its_program_run(machine):
    machine.compiler("g++", "__apple_build_version__ 14 4", compiles=0)
    assert "its C++ library is not there" in refused(machine, "--horovod", "1")
    machine.compiler("g++", exits=1)
    assert "does not run" in refused(machine, "--horovod", "1")


def test_another_compiler_that_would_do_is_named(machine):
    machine.compiler("c++", "__apple_build_version__ 14 4", compiles=0)
    assert "export CXX=g++" in refused(machine, "--horovod", "1")
    assert machine.run("--horovod", "1", CXX="g++")[0] == 0
    machine.without("g++")
    assert "Once one is installed: unset CXX" in refused(machine, "--horovod", "1", CXX="c++ -O2")


def test_c_compiler_is_needed_too(machine):
    machine.compiler("cc", compiles=0)
    assert "cc does not compile C" in refused(machine, "--horovod", "1")
    machine.compiler("gcc")
    assert machine.run("--horovod", "1", CC="gcc")[0] == 0


# --- Disks, folders, memory ---


def test_small_disk(machine):
    """The groups' sizes add up, once for both folders where they are on one disk."""
    machine.disk(9_400)
    assert machine.run()[0] == 0
    machine.disk(9_000)
    why = refused(machine)
    assert "/project has 8.9 GB" in why or "/project has 9.0 GB" in why
    assert "TORCH_INDEX=" in why and "1.1 GB in place of 5.3 GB" in why
    machine.disk(9_400, home=9_000)
    assert "/home/.cache has" in refused(machine)
    assert "UV_CACHE_DIR=" in refused(machine)
    machine.disk(9_400, home=9_400)
    assert machine.run()[0] == 0
    machine.disk(9_400)
    assert "/project has" in refused(machine, UV_LINK_MODE="copy")


def test_small_disk_by_groups(machine):
    machine.disk(2_400)
    assert machine.run("--groups", "spark")[0] == 0
    machine.disk(1_200)
    assert machine.run("--groups", "torch", TORCH_INDEX="https://example.org/whl/cpu")[0] == 0
    assert "TORCH_INDEX" in refused(machine, "--groups", "torch")
    assert machine.run("--update")[0] == 0
    machine.disk(900)
    assert "TORCH_INDEX" not in refused(machine, "--groups", "tensorflow")
    assert "TORCH_INDEX" not in refused(machine, "--update")


def test_disk_that_df_does_not_know(machine):
    machine.program("df", "exit 1")
    status, output = machine.run()
    assert status == 0 and "free disk" in findings(output, "warning")


@pytest.mark.parametrize("home", [None, ""])
def test_no_home(machine, home):
    assert "HOME is not set" in refused(machine, HOME=home)
    for name in ("UV_CACHE_DIR", "XDG_CACHE_HOME"):
        assert machine.run(HOME=home, **{name: str(machine.root / "cache")})[0] == 0


def test_cache_that_cannot_be_written(machine):
    machine.file("home/file", "")
    assert "is not a folder" in refused(machine, UV_CACHE_DIR=str(machine.home / "file/cache"))
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    machine.home.chmod(0o500)
    assert "/home/.cache cannot be written by root" in refused(machine)


def unwritable(machine: Machine, folder: str) -> None:
    """mktemp fails in this folder, also for root."""
    machine.program(
        "mktemp", f'case $* in *{machine.root}{folder}/*) exit 1 ;; esac; exec {shutil.which("mktemp")} "$@"'
    )


def test_project_folder(machine):
    unwritable(machine, "/project")
    assert "/project cannot be written by root" in refused(machine)


def test_project_folder_with_a_colon(machine):
    machine.project = machine.project.rename(machine.root / "my:project")
    assert "has a colon" in refused(machine)


def test_temporary_folder(machine):
    unwritable(machine, "/tmp")
    assert "/tmp cannot be written" in refused(machine)
    assert "/nowhere is not a folder" in refused(machine, TMPDIR="/nowhere")


def test_folder_that_lets_no_program_run(machine):
    """A disk mounted noexec, here played by a chmod that does nothing."""
    machine.program("chmod", f'case $2 in */noexec/*) ;; *) exec {shutil.which("chmod")} "$@" ;; esac')
    folder = machine.root / "noexec"
    folder.mkdir()
    status, output = machine.run(TMPDIR=str(folder))
    assert status == 0
    assert "noexec" in findings(output, "warning")["the folder for temporary files"]
    assert machine.run("--horovod", "0", TMPDIR=str(folder))[1].count("warning") == 0
    missing = findings(machine.run("--horovod", "1", TMPDIR=str(folder))[1], "MISSING")
    assert list(missing) == ["the folder for temporary files"]
    assert "Set TMPDIR" in missing["the folder for temporary files"]
    assert machine.run("--print-horovod", TMPDIR=str(folder)) == (0, "0\n")


def test_shared_memory(machine):
    unwritable(machine, "/dev/shm")
    assert "chmod 1777 /dev/shm" in refused(machine)
    (machine.root / "dev/shm").rmdir()
    assert "there is no /dev/shm" in refused(machine)


def test_little_memory_is_a_warning(machine):
    machine.file("proc/meminfo", "MemTotal:        2000000 kB\n")
    status, output = machine.run()
    assert status == 0
    assert "this machine has 2.0 GB" in findings(output, "warning")["4 GB of memory"]


@pytest.mark.parametrize(
    ("groups", "file", "limit", "warns"),
    [
        ("0::/", "memory.max", "2147483648", True),
        ("0::/", "memory.max", "max", False),
        ("0::/", "memory.max", "8589934592", False),
        ("0::/user.slice/job", "user.slice/memory.max", "2147483648", True),
        ("12:cpu,memory:/docker/1", "memory/docker/1/memory.limit_in_bytes", "2147483648", True),
        ("12:memory:/docker/1", "memory/memory.limit_in_bytes", "2147483648", True),
        ("12:memory:/", "memory/memory.limit_in_bytes", "9223372036854771712", False),
    ],
)
def test_memory_of_a_container(machine, groups, file, limit, warns):
    machine.file("proc/self/cgroup", f"1:name=systemd:/x\n{groups}\n")
    machine.file(f"sys/fs/cgroup/{file}", f"{limit}\n")
    status, output = machine.run()
    assert status == 0
    assert ("this container has 2.1 GB" in output) == warns
    assert bool(findings(output, "warning")) == warns
