"""When set-up has work to do, what it installs and removes, and what it leaves when it fails."""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import types

import pytest

ALL = ("spark", "torch", "tensorflow", "s3", "serve", "dev")
MODULES = "lib/python3.11/site-packages"


@pytest.fixture
def install(toolchain, project_root, tmp_path, monkeypatch):
    """install.py at work on a copy of what set-up depends on, in another folder."""
    install = toolchain("install")
    root = tmp_path / "project [1]"
    for name in ("toolchain", "requirements"):
        shutil.copytree(os.path.join(project_root, name), root / name)
    shutil.copy(os.path.join(project_root, "pyproject.toml"), root)
    venv = root / ".venv"
    paths = {
        "ROOT": root,
        "PROJECT": root / "pyproject.toml",
        "VENV": venv,
        "PYTHON": venv / "bin" / "python",
    }
    paths |= {"STAMP": venv / ".setup-complete", "LOG": venv / "setup.log"}
    for name, path in paths.items():
        monkeypatch.setattr(install, name, str(path))
    return install


class Recorder:
    """What stands in for the network, the compiler and the programs of .venv, and what it was asked for."""

    def __init__(self, install, monkeypatch):
        self.install = install
        self.steps: list[tuple[str, ...]] = []  # title, arguments
        self.requirements: dict[str, str] = {}  # title → the file's text
        self.compiler = self.doctor = self.loads = True
        self.settings: dict[str, str] = {}
        self.fails: dict[str, BaseException] = {}  # by title or package
        self.cached: set[str] = set()
        monkeypatch.setattr(install.Build, "uv", lambda _, *words: self.step(*words))
        monkeypatch.setattr(install.Build, "pip", lambda _, *words: self.step(*words))
        monkeypatch.setattr(install, "ensure_wheel", self.wheel)
        monkeypatch.setattr(install, "built_wheel", self.cached_wheel)
        monkeypatch.setattr(install, "can_compile", lambda: self.compiler)
        monkeypatch.setattr(install, "diagnose", self.diagnose)
        monkeypatch.setattr(install, "pip_settings", lambda _: self.settings)
        monkeypatch.setattr(install, "venv_runs", lambda: os.path.isdir(install.VENV))
        monkeypatch.setattr(install, "compile_modules", lambda _: None)
        monkeypatch.setattr(
            install,
            "subprocess",
            types.SimpleNamespace(run=self.run, CalledProcessError=subprocess.CalledProcessError),
        )
        monkeypatch.setattr(install.signal, "signal", lambda *_: None)

    def step(self, title, *arguments):
        self.steps.append((title, *arguments))
        for option in ("--requirement", "--constraint"):
            if option in arguments:
                with open(arguments[arguments.index(option) + 1]) as file:
                    self.requirements[title] = file.read()
        if title in self.fails:
            raise self.fails[title]
        if arguments[0] == "uninstall":
            for name in arguments[1:]:
                shutil.rmtree(os.path.join(self.install.VENV, MODULES, f"{name}-1.dist-info"), True)

    def wheel(self, package, _):
        if package.name in self.fails:
            raise self.fails[package.name]
        self.installed(package.name)
        return f"/cache/{package.name}.whl"

    def cached_wheel(self, package, build):
        return self.wheel(package, build) if package.name in self.cached else None

    def installed(self, name):
        os.makedirs(os.path.join(self.install.VENV, MODULES, f"{name}-1.dist-info"), exist_ok=True)

    def diagnose(self, options, update):
        self.steps.append(("doctor", *options.groups, update))
        return self.doctor

    def run(self, command, **_):
        if "venv" in command:
            self.steps.append(("venv",))
            os.makedirs(os.path.join(self.install.VENV, MODULES, "pyspark", "bin"))
            return None
        assert command[1] == "-c" and "hvd.init()" in command[2]
        return types.SimpleNamespace(returncode=0 if self.loads else 1, stderr="undefined symbol")

    def main(self, *words):
        """The exit status, and what was done."""
        self.steps.clear()
        self.requirements.clear()
        return self.install.main(words), [title for title, *_ in self.steps]

    def words(self, title):
        (found,) = [arguments for name, *arguments in self.steps if name == title]
        return found

    def distributions(self):
        return {
            name.split("-")[0] for name in os.listdir(os.path.join(self.install.VENV, MODULES)) if "-" in name
        }


@pytest.fixture
def set_up(install, monkeypatch):
    return Recorder(install, monkeypatch)


# Keys and stamps


@pytest.mark.parametrize(
    "path",
    [
        *(
            f"requirements/{name}.lock"
            for name in ("bootstrap", "base", "common", "spark", "pytorch", "torch")
        ),
        "toolchain/patches/horovod-0.28.1.patch",
        "toolchain/patches/petastorm_legacy_parquet.py",
        "toolchain/wheels.py",
        "toolchain/install.py",
        "toolchain/compiled_zip.py",
        "toolchain/groups.py",
        "pyproject.toml",
    ],
)
def test_a_change_of_what_set_up_depends_on_changes_the_key(install, path):
    before = install.setup_key(install.Options())
    assert install.setup_key(install.Options()) == before
    with open(os.path.join(install.ROOT, path), "r+") as file:
        text = file.read()
        file.seek(0)
        file.write(f"# changed\n{text}")
    assert install.setup_key(install.Options()) != before


def test_other_groups_locks_and_settings_of_test_tools_do_not(install):
    before = install.setup_key(install.Options())
    for path in ("pyproject.toml", "requirements/dev.lock", "requirements/tensorflow-gpu.lock"):
        with open(os.path.join(install.ROOT, path), "a") as file:
            file.write("\n# changed\n")
    assert install.setup_key(install.Options()) == before


@pytest.mark.parametrize(
    "other", [{"groups": ("spark",)}, {"horovod": "0"}, {"gpu": True}, {"torch_index": "cpu"}]
)
def test_other_options_change_the_key(install, other):
    assert install.setup_key(install.Options(**other)) != install.setup_key(install.Options())


def test_the_stamp_is_read_back_and_a_broken_one_counts_as_none(install):
    assert install.read_stamp() is None
    os.makedirs(install.VENV)
    stamp = install.Stamp("key", install.Options(("spark",), "0", True, "cpu"), ("numpy",), install.FAILED)
    install.write_stamp(stamp)
    assert install.read_stamp() == stamp
    with open(install.STAMP) as file:
        text = file.read()
    older = '{"key": "k", "options": {"tensorflow": "tensorflow-cpu"}, "packages": [], "horovod": true}'
    for broken in (text[:-9], "", "[]", "null", older, text.replace('"spark"', '"no group"')):
        with open(install.STAMP, "w") as file:
            file.write(broken)
        assert install.read_stamp() is None, broken


# What is asked for


def options_of(install, *words, last=None):
    return install.chosen(install.arguments_of(words), install.Stamp("key", last) if last else None)


@pytest.mark.parametrize(
    ("words", "last", "groups"),
    [
        ((), None, ("spark", "torch")),
        (("--need", "tensorflow"), None, ("spark", "torch", "tensorflow")),
        (("--need", "tensorflow"), ("spark",), ("spark",)),
        (("--need", "tensorflow", "--add"), ("spark",), ("spark", "tensorflow")),
        (("--groups", "spark", "--need", "torch", "--add"), ("torch",), ("spark",)),
        (("--groups", " torch, spark,"), ("dev",), ("spark", "torch")),
        (("--groups", "serve"), None, ("torch", "serve")),
    ],
)
def test_groups(install, words, last, groups):
    last = install.Options(last) if last else None
    assert options_of(install, *words, last=last).groups == groups


def test_options_are_remembered_until_others_are_named(install):
    last = install.Options(("spark",), "0", True, "cpu")
    assert options_of(install, last=last) == last
    others = ("--horovod", "auto", "--gpu", "0", "--torch_index", "pypi", "--groups", "dev")
    assert options_of(install, *others, last=last) == install.Options(("dev",), "auto", False, "pypi")


def test_a_target_whose_group_is_missing_says_which_to_add(set_up, capsys):
    assert set_up.main("--groups", "spark", "--need", "spark serve  torch") == (1, [])
    assert capsys.readouterr().err == (
        "This target needs the groups torch, serve, not installed here. "
        "Add them: make setup GROUPS=spark,torch,serve\n"
    )
    assert set_up.main("--groups", "spark", "--need", "tensorflow")[0] == 1
    assert "the group tensorflow, not installed here. Add it: make setup" in capsys.readouterr().err


def test_a_group_that_does_not_exist_is_named(set_up, capsys):
    assert set_up.main("--groups", "spark,pytorch") == (1, [])
    assert "GROUPS names pytorch, which is no group" in capsys.readouterr().err


# What is installed


def test_a_first_set_up_and_one_that_has_nothing_to_do(set_up, capsys):
    status, steps = set_up.main()
    assert status == 0 and steps == [
        "doctor",
        "venv",
        "Installing uv",
        "Installing the deep-learning packages",
        "Installing the locked packages",
        "Installing medbert-lake, editable",
        "Installing the patched packages",
        "Checking that all versions fit together",
    ]
    for title in ("Installing uv", "Installing the locked packages"):
        assert "--require-hashes" in set_up.words(title)
    everything = set_up.requirements["Installing the locked packages"]
    assert re.search("^pyspark==", everything, re.MULTILINE) and re.search(
        "^torch==", everything, re.MULTILINE
    )
    assert not re.search("^(tensorflow|pytest|onnx)", everything, re.MULTILINE)
    assert not re.search(
        "^pyspark==", set_up.requirements["Installing the deep-learning packages"], re.MULTILINE
    )
    home = os.path.join(set_up.install.VENV, "spark", "home")
    assert os.path.isdir(os.path.join(home, "bin")) and not os.path.isabs(os.readlink(home))
    assert "Set-up of spark, torch is complete" in capsys.readouterr().out
    assert set_up.main() == (0, []) and capsys.readouterr().out == ""
    assert set_up.main("--verbose") == (0, []) and "complete and current" in capsys.readouterr().out


def test_spark_alone_needs_neither_compiler_nor_patches(set_up):
    status, steps = set_up.main("--groups", "spark")
    assert status == 0 and set_up.distributions() == set()
    assert not {"Installing the patched packages", "Installing the deep-learning packages"} & set(steps)


def test_groups_are_added_and_removed_in_place(set_up):
    set_up.main("--groups", "spark,torch")
    status, steps = set_up.main("--groups", "spark")
    assert status == 0 and "venv" not in steps and set_up.distributions() == set()
    (removed,) = [words for title, *words in set_up.steps if re.match(r"Removing \d+ packages", title)]
    assert {"torch", "transformers", "scipy", "dill"} < set(removed[1:])
    assert not {"numpy", "pyspark", "uv", "setuptools"} & set(removed)
    assert steps[-1] == "Checking that all versions fit together"
    status, steps = set_up.main("--need", "torch", "--add")
    assert status == 0 and "venv" not in steps and set_up.distributions() == {"petastorm", "horovod"}


def test_spark_goes_with_its_group(set_up):
    set_up.main()
    set_up.main("--groups", "torch")
    assert not os.path.exists(os.path.join(set_up.install.VENV, "spark"))


def test_what_does_not_fit_the_machine_is_not_begun(set_up):
    set_up.doctor = False
    assert set_up.main() == (1, ["doctor"])
    assert not os.path.exists(set_up.install.VENV)


# Horovod


def horovod(set_up):
    return set_up.install.read_stamp().horovod


def test_without_a_compiler_horovod_is_left_out_until_there_is_one(set_up, capsys):
    set_up.compiler = False
    assert set_up.main()[0] == 0 and set_up.distributions() == {"petastorm"}
    assert capsys.readouterr().out.count("There is no C++ compiler that works") == 1
    assert horovod(set_up) == set_up.install.LEFT_OUT
    assert set_up.main("--verbose") == (0, [])
    set_up.compiler = True
    assert set_up.main() == (0, []), "a stage does not compile for minutes"
    status, steps = set_up.main("--verbose")
    assert status == 0 and "venv" not in steps and set_up.distributions() == {"petastorm", "horovod"}


def test_horovod_0_leaves_it_out_and_takes_it_out(set_up):
    set_up.main()
    status, steps = set_up.main("--horovod", "0")
    assert status == 0 and "Removing horovod" in steps and set_up.distributions() == {"petastorm"}
    assert set_up.main("--verbose") == (0, []), "it was not for lack of a compiler"


def test_where_horovod_does_not_compile_set_up_goes_on_and_tries_once(set_up, capsys):
    set_up.fails["horovod"] = set_up.install.StepFailed("Compiling failed (exit 1).")
    assert set_up.main()[0] == 0 and set_up.distributions() == {"petastorm"}
    output = capsys.readouterr().out
    assert "Compiling failed (exit 1)." in output and "Horovod is left out" in output
    assert horovod(set_up) == set_up.install.FAILED
    assert set_up.main("--verbose") == (0, [])


def test_where_horovod_does_not_load_it_is_left_out(set_up, capsys):
    set_up.loads = False
    assert set_up.main()[0] == 0 and set_up.distributions() == {"petastorm"}
    assert horovod(set_up) == set_up.install.FAILED and "undefined symbol" in capsys.readouterr().out


@pytest.mark.parametrize("failure", ["compiles", "loads"])
def test_horovod_1_must_succeed(set_up, capsys, failure):
    if failure == "compiles":
        set_up.fails["horovod"] = set_up.install.StepFailed("Compiling failed (exit 1).")
    set_up.loads = failure != "loads"
    assert set_up.main("--horovod", "1")[0] == 1
    wanted = "Compiling failed (exit 1)." if failure == "compiles" else "horovod.torch does not work"
    assert wanted in capsys.readouterr().err
    assert set_up.install.read_stamp().key == set_up.install.INCOMPLETE


@pytest.mark.parametrize("cached", [True, False])
def test_compiling_is_spoken_of_only_where_it_happens(set_up, capsys, cached):
    set_up.cached = {"horovod"} if cached else set()
    set_up.main()
    assert ("Compiling" in capsys.readouterr().out) is not cached


def test_a_failure_elsewhere_does_not_wait_for_the_compiler(
    set_up, toolchain, ends, monkeypatch, capsys, tmp_path
):
    """The compiler, and what that started, is killed."""
    progress, started = toolchain("progress"), tmp_path / "started"
    script = f"sleep 600 & echo $! >{started}.new; mv {started}.new {started}; wait"

    def compile_for_minutes(package, build):
        if package.name == "horovod":
            progress.run_step("Compiling", ["sh", "-c", script], str(tmp_path / "log"))
        return "/cache/x.whl"

    def step(title, *arguments):
        if title == "Installing the locked packages":
            while not started.exists():
                pass
            raise set_up.install.StepFailed("no network")

    monkeypatch.setattr(set_up.install, "ensure_wheel", compile_for_minutes)
    monkeypatch.setattr(set_up, "step", step)
    assert set_up.main()[0] == 1
    assert "no network" in capsys.readouterr().err
    ends(int(started.read_text()))


# torch from elsewhere


def locked(text):
    return set(re.findall(r"^([\w.-]+)==", text, re.MULTILINE))


def test_a_build_of_torch_of_the_user_s_own(set_up):
    set_up.main("--torch_index", "cpu", "--groups", ",".join(ALL))
    title = "Installing torch from cpu"
    arguments = set_up.words(title)
    assert arguments[:3] == ["install", "--torch-backend", "cpu"]
    assert re.fullmatch(r"torch==\S+", arguments[-1])
    for text in set_up.requirements.values():
        assert not [name for name in locked(text) if name.startswith(("torch", "triton", "nvidia-", "cuda-"))]
    assert {"sympy", "filelock"} <= locked(set_up.requirements[title])


def test_the_gpu_s_tensorflow_keeps_its_own_libraries_then(set_up):
    set_up.main("--torch_index", "cu130", "--groups", "torch,tensorflow", "--gpu", "1")
    names = locked(set_up.requirements["Installing the locked packages"])
    assert {"nvidia-cudnn-cu12", "nvidia-cublas-cu12", "tensorflow"} < names
    assert not {"nvidia-cudnn-cu13", "nvidia-cublas", "torch", "tensorflow-cpu"} & names


def test_a_folder_of_pip_s_configuration_gives_torch_unless_pypi_is_wanted(
    set_up, tmp_path, toolchain, capsys
):
    version = toolchain("groups").version_of("torch", "pytorch")
    tag = "cp{}{}".format(*sys.version_info[:2])
    (tmp_path / f"torch-{version}+site-{tag}-{tag}-linux_{os.uname().machine}.whl").touch()
    set_up.settings = {"find-links": str(tmp_path)}
    set_up.main()
    assert set_up.words(f"Installing torch from {tmp_path}")[1:3] == ["--find-links", str(tmp_path)]
    assert f"torch comes from {tmp_path}" in capsys.readouterr().out
    _, steps = set_up.main("--torch_index", "pypi")
    assert "Installing the locked packages" in steps and f"Installing torch from {tmp_path}" not in steps
    assert "torch" in locked(set_up.requirements["Installing the locked packages"])


def test_another_build_of_torch_makes_the_environment_again(set_up):
    """It has the locked version as well, so uv would keep the one that is there."""
    set_up.main("--torch_index", "cpu")
    assert "venv" in set_up.main("--torch_index", "pypi")[1]
    assert "venv" not in set_up.main("--gpu", "1")[1]
    set_up.main("--groups", "spark")
    assert "venv" not in set_up.main("--torch_index", "cpu")[1], "there is no torch"


# In place, again, and what is left where that fails


def test_only_a_complete_environment_of_this_python_is_updated_in_place(set_up, install, monkeypatch):
    options = install.Options()
    os.makedirs(install.VENV)
    assert install.can_be_updated(install.Stamp("an older key", options), options)
    assert not install.can_be_updated(None, options)
    assert not install.can_be_updated(install.Stamp(install.INCOMPLETE, options), options)
    monkeypatch.setattr(install, "venv_runs", lambda: False)
    assert not install.can_be_updated(install.Stamp("an older key", options), options)


def test_a_venv_of_another_python_or_none_does_not_run(install):
    assert not install.venv_runs()
    os.makedirs(os.path.dirname(install.PYTHON))
    for code, runs in (("0", True), ("1", False), ("127", False)):
        with open(install.PYTHON, "w") as file:
            file.write(f"#!/bin/sh\nexit {code}\n")
        os.chmod(install.PYTHON, 0o755)
        assert install.venv_runs() is runs
    os.remove(install.PYTHON)
    os.symlink("/removed/python3", install.PYTHON)
    assert not install.venv_runs()


@pytest.fixture
def complete(set_up, monkeypatch):
    """A complete .venv with a script in it, that another Python takes the place of."""
    set_up.main()
    monkeypatch.setattr(set_up.install, "venv_runs", lambda: False)
    with open(os.path.join(set_up.install.VENV, "script"), "w") as file:
        file.write("works")
    return set_up.install.read_stamp()


def leftovers(install):
    return [name for name in os.listdir(install.ROOT) if name.startswith(".venv") and name != ".venv"]


@pytest.mark.parametrize(
    ("failure", "status"), [(OSError(28, "No space left on device"), 1), (KeyboardInterrupt(), 130)]
)
def test_a_complete_environment_stays_where_another_cannot_be_made(set_up, complete, failure, status, capsys):
    install = set_up.install
    set_up.fails["Installing the locked packages"] = failure
    with open(install.LOG, "w") as file:
        file.write("older")
    assert set_up.main("--groups", "spark")[0] == status
    assert ("No space left" if status == 1 else "was stopped") in capsys.readouterr().err
    assert install.read_stamp() == complete and leftovers(install) == []
    assert os.path.exists(os.path.join(install.VENV, "script"))


def test_the_log_of_the_failed_one_is_kept(set_up, complete, monkeypatch):
    def fill(*_):
        with open(set_up.install.LOG, "w") as file:
            file.write("no network")
        raise set_up.install.StepFailed("no network")

    monkeypatch.setattr(set_up.install, "fill", fill)
    assert set_up.main("--groups", "spark")[0] == 1
    with open(set_up.install.LOG) as file:
        assert file.read() == "no network"


def test_the_new_environment_takes_its_place(set_up, complete):
    assert set_up.main("--groups", "spark")[0] == 0
    assert set_up.install.read_stamp().options.groups == ("spark",)
    assert not os.path.exists(os.path.join(set_up.install.VENV, "script")) and leftovers(set_up.install) == []


def test_an_incomplete_environment_is_made_again_with_the_options_it_was_to_have(set_up, monkeypatch):
    set_up.fails["Installing the locked packages"] = set_up.install.StepFailed("no network")
    assert set_up.main("--groups", "spark,dev")[0] == 1
    del set_up.fails["Installing the locked packages"]
    status, steps = set_up.main()
    assert status == 0 and "venv" in steps
    assert set_up.install.read_stamp().options.groups == ("spark", "dev")


KILLED = textwrap.dedent(
    """
    import os, shutil, signal, sys
    sys.path.insert(0, sys.argv[1])
    import anew
    folder, at = sys.argv[2], sys.argv[3]
    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)
    remove = shutil.rmtree
    def half(path, **_):
        if at == "removing" and os.path.exists(os.path.join(path, "script")):
            os.remove(os.path.join(path, "script"))
            die()
        remove(path, ignore_errors=True)
    shutil.rmtree = half
    if at == "moved":
        rename = os.rename
        os.rename = lambda *names: (rename(*names), die())
    with anew.made_anew(folder, os.path.join(folder, "log"), whole=True):
        os.mkdir(folder)
        open(os.path.join(folder, "new"), "w").close()
        if at == "making":
            die()
    """
)


@pytest.mark.parametrize(
    ("at", "kept"), [("moved", "script"), ("making", "script"), ("removing", "new"), ("nowhere", "new")]
)
def test_what_a_killed_set_up_leaves_is_the_old_one_or_the_new_one(
    project_root, toolchain, tmp_path, at, kept
):
    folder = tmp_path / "venv"
    folder.mkdir()
    (folder / "script").touch()
    (folder / "other").touch()
    command = [sys.executable, "-c", KILLED, f"{project_root}/toolchain", str(folder), at]
    status = subprocess.run(command).returncode
    assert status == (0 if at == "nowhere" else -signal.SIGKILL)
    toolchain("anew").put_back(str(folder))
    assert os.listdir(folder) == [kept] if kept == "new" else (folder / kept).exists()
    assert os.listdir(tmp_path) == ["venv"]


def test_two_set_ups_do_not_work_at_once(install, capsys):
    code = (
        "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX);"
        "print(1, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, install.ROOT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        other.stdout.readline()
        waiting = install.say

        def say(text):
            waiting(text)
            other.stdin.close()  # the other one ends

        install.say = say
        try:
            with install.only_one_setup():
                assert "Another set-up is at work in this folder" in capsys.readouterr().out
        finally:
            install.say = waiting
