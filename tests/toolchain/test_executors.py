"""The archive of `make executors`: when it is made again, its bytes, and what its bin/python does."""

import json
import os
import shutil
import subprocess
import sys
import tarfile

import pytest

MACHINE = os.uname().machine
FILES = {
    "arrows/__init__.py": "name = 'ours'\n",
    "arrows/data.txt": "",
    "arrows/__pycache__/__init__.pyc": "",
    "bin/f2py": "#!/home/me/python\n",
}


@pytest.fixture
def executors(toolchain):
    return toolchain("executors")


@pytest.fixture
def packages(tmp_path):
    """A folder as uv fills it."""
    for path, text in FILES.items():
        (tmp_path / "packages" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "packages" / path).write_text(text)
    return tmp_path / "packages"


@pytest.fixture
def archive(executors, packages, tmp_path):
    target = str(tmp_path / "x.tar.gz")
    executors.write_archive(target, str(packages), MACHINE)
    return target


@pytest.fixture
def environment(archive, tmp_path):
    """The archive, unpacked as on a host, at a path with a blank in it."""
    folder = tmp_path / "work of an executor" / "environment"
    folder.mkdir(parents=True)
    subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
    return folder


@pytest.fixture
def host(tmp_path):
    """The only folder on PATH: the system's commands that bin/python uses, no Python."""
    folder = tmp_path / "host"
    folder.mkdir()
    for name in ("sh", "dirname", "uname"):
        (folder / name).symlink_to(shutil.which(name))
    return folder


@pytest.fixture
def run(environment, host):
    """run(*arguments, **variables): the environment's bin/python, by a relative path as Spark does."""

    def start(*arguments, **variables):
        return subprocess.run(
            ["./environment/bin/python", *arguments],
            cwd=environment.parent,
            env={"PATH": str(host), **variables},
            capture_output=True,
            text=True,
        )

    return start


def with_text(path, old, new):
    """Replace in a file, which has the old text."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_it_has_what_it_is_made_from_the_launcher_and_the_packages(archive):
    with tarfile.open(archive) as tar:
        members = {member.name: member for member in tar}
    names = ["origin.json", "bin/python", "site-packages/arrows/__init__.py", "site-packages/arrows/data.txt"]
    assert list(members) == names
    assert [members[name].mode for name in names] == [0o644, 0o755, 0o644, 0o644]


def test_clock_permissions_and_order_leave_no_trace(executors, archive, packages, tmp_path):
    os.utime(packages / "arrows/data.txt", (1, 1))
    (packages / "arrows/data.txt").chmod(0o700)
    again = str(tmp_path / "again" / "y.tar.gz")
    os.mkdir(os.path.dirname(again))
    shutil.copytree(packages, tmp_path / "copy")
    executors.write_archive(again, str(tmp_path / "copy"), MACHINE)
    with open(archive, "rb") as one, open(again, "rb") as other:
        assert one.read() == other.read()


def test_packing_that_fails_leaves_the_old_archive(executors, archive, packages):
    with open(archive, "rb") as file:
        before = file.read()
    (packages / "arrows/data.txt").unlink()
    (packages / "arrows/data.txt").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError):
        executors.write_archive(archive, str(packages), MACHINE)
    with open(archive, "rb") as file:
        assert file.read() == before
    assert [name for name in os.listdir(os.path.dirname(archive)) if name.startswith("x.tar")] == ["x.tar.gz"]


def test_a_current_archive_is_left_and_another_is_made_again(executors, monkeypatch, tmp_path):
    made = []

    def install(folder, machine, log):
        made.append(machine)
        with open(os.path.join(folder, "six.py"), "w") as file:
            file.write("")

    monkeypatch.setattr(executors, "install", install)
    monkeypatch.setattr(sys, "argv", ["executors.py", "--folder", str(tmp_path), "--machine", "x86_64"])
    assert executors.main() == 0 == executors.main()
    target = tmp_path / "executors-py{}.{}-x86_64.tar.gz".format(*sys.version_info[:2])
    assert os.listdir(tmp_path) == [target.name]
    assert made == ["x86_64"]
    lock = executors.requirements
    monkeypatch.setattr(executors, "requirements", lambda names: lock(names) + "one==1\n")
    assert executors.main() == 0
    assert len(made) == 2
    target.write_bytes(target.read_bytes()[:100])
    assert executors.main() == 0
    assert len(made) == 3
    monkeypatch.setattr(sys, "argv", [*sys.argv[:-1], "aarch64"])
    assert executors.main() == 0
    assert made[3:] == ["aarch64"] and len(os.listdir(tmp_path)) == 2


def test_it_names_the_locked_packages(executors, archive):
    origin = executors.read_origin(archive)
    assert {"numpy", "pyarrow", "s3fs"} <= origin["packages"].keys()
    assert "pyspark" not in origin["packages"]


def test_spark_s_path_comes_first_and_the_host_s_packages_are_not_seen(run, tmp_path):
    venv = tmp_path / "python of the host"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "of_host.py").write_text("")
    spark = tmp_path / "spark"
    spark.mkdir()
    (spark / "of_spark.py").write_text("")
    python = str(venv / "bin" / "python")
    assert subprocess.run([python, "-c", "import of_host"]).returncode == 0
    code = (
        "import importlib.util, json, sys, arrows, of_spark\n"
        "print(json.dumps([sys.argv, sys.path[1:3], importlib.util.find_spec('of_host') is None]))"
    )
    done = run("-c", code, "a b", PYTHONPATH=str(spark), MEDBERT_EXECUTOR_PYTHON=python)
    assert done.returncode == 0, done.stderr
    arguments, path, hidden = json.loads(done.stdout)
    assert arguments == ["-c", "a b"]
    assert path[0] == str(spark) and path[1].endswith("work of an executor/environment/site-packages")
    assert hidden


def test_the_python_on_path_is_found_and_one_that_does_not_run_is_passed_over(run, host):
    name = "python{}.{}".format(*sys.version_info[:2])
    (host / name).symlink_to(sys.executable)
    done = run("-c", "import arrows; print(arrows.name)")
    assert (done.returncode, done.stdout) == (0, "ours\n"), done.stderr
    # Such as pyenv's, of a version that is not chosen.
    (host / name).unlink()
    (host / name).write_text("#!/bin/sh\nexit 127\n")
    (host / name).chmod(0o755)
    done = run("-c", "import sys; print(sys.executable)")
    assert str(host) not in done.stdout
    assert done.returncode == 0 or "no python" in done.stderr


def test_a_host_without_the_series_says_what_to_do(run, environment):
    with_text(environment / "bin" / "python", "series={}.{}".format(*sys.version_info[:2]), "series=3.99")
    done = run("-c", "")
    assert (done.returncode, done.stdout) == (127, "")
    assert "no python3.99 on PATH, in /usr/bin or in /usr/local/bin" in done.stderr
    assert os.uname().nodename in done.stderr and "MEDBERT_EXECUTOR_PYTHON" in done.stderr


def test_a_python_of_another_series_is_refused(run, environment):
    with_text(environment / "bin" / "python", "series={}.{}".format(*sys.version_info[:2]), "series=3.99")
    done = run("-c", "", MEDBERT_EXECUTOR_PYTHON=sys.executable)
    assert done.returncode == 127
    assert f"MEDBERT_EXECUTOR_PYTHON is {sys.executable}, which is no Python 3.99" in done.stderr


def test_a_host_with_another_processor_is_refused(run, environment):
    with_text(environment / "bin" / "python", f"machine={MACHINE}", "machine=other")
    done = run("-c", "", MEDBERT_EXECUTOR_PYTHON=sys.executable)
    assert done.returncode == 127
    assert f"this environment is for other, the host is {MACHINE}" in done.stderr


def test_the_launcher_passes_shellcheck(executors, tmp_path):
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    path = tmp_path / "python"
    path.write_text(executors.launcher(MACHINE))
    done = subprocess.run(["shellcheck", "-s", "sh", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
