"""The Dockerfile makes an image in which set-up finds nothing to do, and which deploy/mpijob.yaml can run.

Its steps run as toolchain/dockerfile_steps.py runs them, without what RUN does: `make test-fresh` has that.
"""

import importlib
import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.render_mpijob import MpiJob, render

ACCOUNTS = "root:x:0:0::/root:/bin/sh\nmedbert:x:1000:1000::/home/medbert:/bin/sh\n"
PROGRAMS = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]


@pytest.fixture
def toolchain(project_root, monkeypatch):
    """`toolchain("install")` imports toolchain/install.py."""
    monkeypatch.syspath_prepend(os.path.join(project_root, "toolchain"))
    return importlib.import_module


class Building:
    """The steps of a Dockerfile: commands are noted, with the files that are there when they run."""

    def __init__(self, root: Path, run_steps, monkeypatch):
        self.root, self._run_steps = root, run_steps
        self.commands, self.files, self.owners = [], {}, {}
        monkeypatch.setattr(os, "chown", self._chown)
        (root / "etc").mkdir(parents=True)
        (root / "etc/passwd").write_text(ACCOUNTS)

    def _chown(self, path, user, group, **options):
        self.owners[os.path.relpath(path, self.root)] = (user, group)

    def _run(self, command):
        self.commands.append(command)
        files = (path for path in self.root.rglob("*") if path.is_file())
        self.files[command[-1]] = {str(path.relative_to(self.root)) for path in files}

    def of(self, dockerfile: str, **build_args: str):
        return self._run_steps(dockerfile, str(self.root), build_args, {"PROXY": "here"}, self._run)


@pytest.fixture
def building(toolchain, tmp_path, monkeypatch):
    return Building(tmp_path / "root", toolchain("dockerfile_steps").run_steps, monkeypatch)


@pytest.fixture
def small(tmp_path):
    """small(text, name=content…): the path of a Dockerfile, with files beside it."""
    folder = tmp_path / "context"

    def write(text: str, **files: str) -> str:
        for name, content in {"Dockerfile": text, **files}.items():
            path = folder / name.replace("__", "/").replace("dockerignore", ".dockerignore")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return str(folder / "Dockerfile")

    return write


# --- Our Dockerfile ---


@pytest.fixture
def image(building, project_root):
    return building.of(os.path.join(project_root, "Dockerfile"), GROUPS="spark", TORCH_INDEX="cpu")


def test_the_image_runs_the_demo_as_a_user_where_the_recipe_looks_for_the_project(image):
    assert image.command == ["make", "demo"]
    assert image.folder == MpiJob(image="lake:1", run="s3://bucket/run").home
    # Kubernetes can tell only of a number that it is not root's.
    assert image.user.isdigit() and int(image.user) > 0


def test_the_base_has_a_tag_that_stays(image):
    name, _, tag = image.base.partition(":")
    assert name and tag not in ("", "latest")


def test_steps_are_the_two_scripts(image, building):
    system, packages = (command[-1] for command in building.commands)
    assert system.startswith("sh deploy/image/system.sh ")
    assert packages.startswith("sh deploy/image/packages.sh ")
    as_root, as_user = (command[1] for command in building.commands)
    assert (as_root, as_user) == ("--userspec=0:0", "--userspec=1000:1000")
    assert "GROUPS=spark" in building.commands[0] and "TORCH_INDEX=cpu" in building.commands[1]


def project_files(building: Building, image, script: str) -> set[str]:
    """The files of the project, by their paths in it, that are in the image when a script runs."""
    (files,) = (files for words, files in building.files.items() if script in words)
    folder = image.folder.lstrip("/")
    return {os.path.relpath(path, folder) for path in files if path.startswith(f"{folder}/")}


def test_all_that_the_set_up_key_covers_is_there_before_set_up(image, building, toolchain, monkeypatch):
    """Else `make setup` would find another key in the finished image, and install once more."""
    install = toolchain("install")
    groups = toolchain("groups").GROUPS
    read, content = set(), install._content

    def noted(path):
        read.add(os.path.relpath(path, install.ROOT))
        return content(path)

    monkeypatch.setattr(install, "_content", noted)
    for number in range(1, len(groups) + 1):
        for chosen, gpu in itertools.product(itertools.combinations(groups, number), (False, True)):
            install.setup_key(install.Options(groups=chosen, gpu=gpu))
    assert {"pyproject.toml", "toolchain/install.py", "requirements/tensorflow-gpu.lock"} <= read
    assert read - project_files(building, image, "packages.sh") == set()


def test_set_up_starts_with_the_files_that_are_there_before_it(image, building, tmp_path):
    folder = tmp_path / "before"
    for path in project_files(building, image, "packages.sh"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.join(building.root, image.folder.lstrip("/"), path), folder / path)
    command = ["sh", "toolchain/run.sh", sys.executable, "install", "--help"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert "--groups" in done.stdout, done.stderr


def test_a_change_of_other_files_does_not_make_the_environment_again(image, building):
    before = project_files(building, image, "packages.sh")
    folders = {path.partition("/")[0] for path in before}
    assert folders == {"deploy", "pyproject.toml", "requirements", "toolchain"}
    assert {path for path in before if path.endswith((".in", "test_fresh.py"))} == set()


def test_the_project_belongs_to_the_user(image, building):
    folder = image.folder.lstrip("/")
    owners = {owner for path, owner in building.owners.items() if path.startswith(f"{folder}/trainer/")}
    assert owners == {(1000, 1000)}


def test_what_git_ignores_is_not_copied(project_root, toolchain):
    ignored = toolchain("dockerfile_steps").ignore_rules(project_root)
    lines = Path(project_root, ".gitignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert len(patterns) > 10
    for pattern in (*patterns, "/.git/"):
        example = pattern.strip("/").replace("[cod]", "c").replace("*", "some")
        assert ignored(example), pattern
        if not pattern.startswith("/"):
            assert ignored(f"some/folder/{example}"), pattern


def test_what_git_has_is_copied(project_root, toolchain):
    if not os.path.exists(os.path.join(project_root, ".git")):
        pytest.skip("this is no clone")
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    listed = subprocess.run(["git", "ls-files"], cwd=project_root, capture_output=True, text=True, check=True)
    ignored = toolchain("dockerfile_steps").ignore_rules(project_root)
    paths = listed.stdout.splitlines()
    assert len(paths) > 100
    folders = {os.path.dirname(path) for path in paths}
    assert [path for path in sorted({*paths, *folders} - {""}) if ignored(path)] == []


def test_hadolint_finds_nothing(project_root):
    hadolint = shutil.which("hadolint", path=PROGRAMS)
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, "Dockerfile"], cwd=project_root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("script", ["system", "packages"])
def test_shellcheck_finds_nothing(project_root, script):
    shellcheck = shutil.which("shellcheck", path=PROGRAMS)
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    command = [shellcheck, f"deploy/image/{script}.sh"]
    done = subprocess.run(command, cwd=project_root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# --- The image and the recipe ---


def settings(project_root: str, name: str) -> dict[str, str]:
    """The settings of an ssh configuration in deploy/image."""
    lines = Path(project_root, "deploy/image", name).read_text().splitlines()
    return dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))


def test_workers_have_their_key_where_the_operator_mounts_it(project_root):
    spec = render(MpiJob(image="lake:1", run="s3://bucket/run"))["spec"]
    folder = spec["sshAuthMountPath"]
    assert settings(project_root, "sshd.conf")["HostKey"] == f"{folder}/id_rsa"
    assert (
        folder == "/home/medbert/.ssh"
        and "user=medbert\n" in Path(project_root, "deploy/image/system.sh").read_text()
    )


def test_the_launcher_calls_the_port_that_the_workers_listen_on(project_root):
    port = settings(project_root, "sshd.conf")["Port"]
    assert int(port) > 1023, "the user may not listen on others"
    assert settings(project_root, "ssh.conf")["Port"] == port


def test_pods_are_refused_as_root_and_the_operator_starts_the_workers_server(project_root):
    replicas = render(MpiJob(image="lake:1", run="s3://bucket/run"))["spec"]["mpiReplicaSpecs"]
    for role in replicas.values():
        pod = role["template"]["spec"]
        assert pod["securityContext"] == {"runAsNonRoot": True}
    # `sshd -De` is what a worker without a command of its own gets, and reads the image's settings.
    assert not {"command", "args"} & replicas["Worker"]["template"]["spec"]["containers"][0].keys()


def test_ssh_takes_its_settings(project_root):
    ssh = shutil.which("ssh")
    if ssh is None:
        pytest.skip("ssh is not installed")
    command = [ssh, "-G", "-F", f"{project_root}/deploy/image/ssh.conf", "worker-0.job.namespace.svc"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    taken = dict(line.split(maxsplit=1) for line in said.splitlines() if " " in line)
    assert taken["port"] == settings(project_root, "ssh.conf")["Port"]
    assert taken["stricthostkeychecking"] in ("no", "false")


# --- dockerfile_steps.py ---


def test_a_build_argument_that_is_not_declared_is_refused(building, project_root):
    with pytest.raises(ValueError, match=r"No ARG declares GROUP\. There are BASE, GPU, GROUPS"):
        building.of(os.path.join(project_root, "Dockerfile"), GROUP="spark")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ADD a b", "has ADD"),
        ("COPY --chmod=755 Dockerfile b", "--chmod=755"),
        ("RUN --mount=type=cache,target=/c true", "--mount"),
        ("COPY absent b", "names absent"),
        ("COPY secret b", "names secret"),
        ("USER nobody\nRUN true", "no user nobody"),
    ],
)
def test_what_is_not_known_is_refused(building, small, line, message):
    with pytest.raises(ValueError, match=message):
        building.of(small(f"FROM a:1\n{line}\n", secret="x", dockerignore="secret\n"))


def test_arguments_and_variables_are_those_of_docker(building, small):
    dockerfile = small(
        "ARG BASE=a:1\nARG GONE=1\nFROM ${BASE}\n# words\nARG KEPT=1\nARG OTHER\nENV A=x B=$KEPT\n"
        'WORKDIR /one\nWORKDIR two\nRUN echo \\\n    # words\n    "$A"\nUSER ${KEPT}000\nCMD ["a", "b"]\n'
    )
    image = building.of(dockerfile, BASE="b:2", OTHER="c d")
    assert (image.base, image.folder, image.user, image.command) == ("b:2", "/one/two", "1000", ["a", "b"])
    assert {"A": "x", "B": "1"}.items() <= image.environment.items()
    (command,) = building.commands
    assert {"A=x", "KEPT=1", "OTHER=c d", "PROXY=here", "HOME=/root"} <= set(command)
    assert not any(word.startswith("GONE=") for word in command)
    assert "PROXY" not in image.environment and "KEPT" not in image.environment
    assert re.fullmatch(r'echo\s+"\$A"', command[-1]), "the step's own shell fills in variables"


def test_copy_takes_the_content_of_folders_and_keeps_the_owner_of_those_that_are_there(building, small):
    dockerfile = small(
        "FROM a:1\nWORKDIR /home\nCOPY one.txt two.txt into/\nCOPY --chown=medbert folder into/\n"
        "COPY --chown=7 *.txt others/\nCOPY one.txt renamed\nRUN true\n",
        **{"one.txt": "1", "two.txt": "2", "folder__deep__three.txt": "3", "folder__no.pyc": ""},
        dockerignore="# words\n**/*.pyc\n",
    )
    building.of(dockerfile)
    (files,) = building.files.values()
    names = {
        "into/one.txt",
        "into/two.txt",
        "into/deep/three.txt",
        "others/one.txt",
        "others/two.txt",
        "renamed",
    }
    assert {path for path in files if path.startswith("home/")} == {f"home/{name}" for name in names}
    owners = {path: user for path, (user, _) in building.owners.items()}
    assert owners["home/into"] == 0 and owners["home/into/deep"] == 1000 and owners["home/others"] == 7


@pytest.mark.parametrize(
    ("line", "out", "stays"),
    [
        ("runs", ["runs"], ["my/runs", "runs2"]),
        ("/runs/", ["runs"], ["my/runs"]),
        ("*/temp*", ["a/temp", "a/temporary"], ["temp", "a/b/temp"]),
        ("**/temp?", ["temp1", "a/b/temp2"], ["temp", "a/temp12"]),
        ("**/*.py[cod]", ["a.pyc", "a/b.pyd"], ["a.py", "a.pyx"]),
        ("a/**", ["a/b", "a/b/c"], ["ab"]),
        ("a.b", ["a.b"], ["axb"]),
    ],
)
def test_ignore_rules_are_dockers(toolchain, tmp_path, line, out, stays):
    (tmp_path / ".dockerignore").write_text(f"# words\n\n{line}\n")
    ignored = toolchain("dockerfile_steps").ignore_rules(str(tmp_path))
    assert [path for path in out if not ignored(path)] == []
    assert [path for path in stays if ignored(path)] == []
