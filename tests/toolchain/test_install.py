"""When set-up has work to do, and what a failed step leaves and says."""

import os
import re
import shutil

import pytest


@pytest.fixture
def project(toolchain, project_root, tmp_path, monkeypatch):
    """install.py at work on a copy of what set-up depends on, in another folder."""
    install = toolchain("install")
    for name in ("toolchain", "requirements"):
        shutil.copytree(os.path.join(project_root, name), tmp_path / name)
    shutil.copy(os.path.join(project_root, "pyproject.toml"), tmp_path)
    monkeypatch.setattr(install, "ROOT", str(tmp_path))
    monkeypatch.setattr(install, "LOCK", str(tmp_path / "requirements" / "requirements.lock"))
    monkeypatch.setattr(install, "PROJECT", str(tmp_path / "pyproject.toml"))
    monkeypatch.setattr(install, "STAMP", str(tmp_path / ".setup-complete"))
    return install


@pytest.mark.parametrize(
    "path",
    [
        "requirements/requirements.lock",
        "toolchain/patches/horovod-0.28.1.patch",
        "toolchain/wheels.py",
        "toolchain/install.py",
        "toolchain/compiled_zip.py",
        "toolchain/spark_classes.py",
    ],
)
def test_a_change_of_what_set_up_depends_on_changes_the_key(project, tmp_path, path):
    before = project.setup_key(project.Options())
    assert project.setup_key(project.Options()) == before
    with open(tmp_path / path, "a") as file:
        file.write("\n# changed\n")
    assert project.setup_key(project.Options()) != before


def test_settings_of_test_and_lint_tools_do_not(project, tmp_path):
    before = project.setup_key(project.Options())
    with open(tmp_path / "pyproject.toml", "a") as file:
        file.write("\n# changed\n")
    assert project.setup_key(project.Options()) == before


def test_other_options_do(project):
    assert project.setup_key(project.Options(gpu=True)) != project.setup_key(project.Options())


def test_the_stamp_is_read_back_and_a_broken_one_counts_as_none(project, tmp_path):
    assert project.read_stamp() is None
    stamp = project.Stamp("key", project.Options("tensorflow", True))
    project.write_stamp(stamp)
    assert project.read_stamp() == stamp
    (tmp_path / ".setup-complete").write_text('{"key": "cut of')
    assert project.read_stamp() is None


def test_only_a_complete_environment_of_the_same_options_is_updated_in_place(project, monkeypatch):
    monkeypatch.setattr(project, "venv_runs", lambda: True)
    options = project.Options()
    assert project.can_be_updated(project.Stamp("an older key", options), options)
    assert not project.can_be_updated(None, options)
    assert not project.can_be_updated(project.Stamp(project.INCOMPLETE, options), options)
    assert not project.can_be_updated(project.Stamp("an older key", options), project.Options(gpu=True))
    monkeypatch.setattr(project, "venv_runs", lambda: False)
    assert not project.can_be_updated(project.Stamp("an older key", options), options)


@pytest.fixture
def environment(project, tmp_path, monkeypatch):
    """A complete .venv with a script in it; what another one is made of is a folder."""
    venv = tmp_path / ".venv"
    for name, path in (("VENV", venv), ("STAMP", venv / ".setup-complete"), ("LOG", venv / "setup.log")):
        monkeypatch.setattr(project, name, str(path))
    monkeypatch.setattr(project.subprocess, "run", lambda *_, **__: venv.mkdir())
    monkeypatch.setattr(project, "venv_runs", lambda: False)  # another Python
    venv.mkdir()
    (venv / "script").write_text("works")
    project.write_stamp(project.Stamp("a key", project.Options()))
    return venv


@pytest.mark.parametrize("failure", ["StepFailed", "KeyboardInterrupt"])
def test_a_complete_environment_stays_where_the_new_one_cannot_be_made(
    project, environment, monkeypatch, failure
):
    def offline(options):
        project.write_stamp(project.Stamp(project.INCOMPLETE, options))
        (environment / "setup.log").write_text("no network")
        raise {"StepFailed": project.StepFailed, "KeyboardInterrupt": KeyboardInterrupt}[failure]

    monkeypatch.setattr(project, "fill", offline)
    with pytest.raises((project.StepFailed, KeyboardInterrupt)):
        project.set_up(project.Options(gpu=True))
    assert project.read_stamp() == project.Stamp("a key", project.Options())
    assert (environment / "script").read_text() == "works"
    assert (environment / "setup.log").read_text() == "no network"
    assert not os.path.exists(f"{environment}.old")


def test_the_new_environment_takes_its_place(project, environment, monkeypatch):
    options = project.Options(gpu=True)
    monkeypatch.setattr(project, "fill", lambda found: project.write_stamp(project.Stamp("new", found)))
    project.set_up(options)
    assert project.read_stamp() == project.Stamp("new", options)
    assert not (environment / "script").exists() and not os.path.exists(f"{environment}.old")


def test_an_incomplete_environment_is_not_kept(project, environment, monkeypatch):
    project.write_stamp(project.Stamp(project.INCOMPLETE, project.Options()))
    monkeypatch.setattr(project, "fill", lambda _: os.listdir(f"{environment}.old"))
    with pytest.raises(FileNotFoundError):
        project.set_up(project.Options())


def test_what_a_killed_set_up_moved_aside_comes_back(toolchain, environment):
    os.rename(environment, f"{environment}.old")
    environment.mkdir()
    (environment / "half").write_text("")
    toolchain("anew").put_back(str(environment))
    assert (environment / "script").read_text() == "works"
    assert not (environment / "half").exists()
    toolchain("anew").put_back(str(environment))
    assert (environment / "script").exists()


def test_the_lock_pins_everything_asked_for(toolchain, project_root):
    install, lock = toolchain("install"), toolchain("lock")
    pins = install.read_pins(install.LOCK)
    with open(install.LOCK) as file:
        lines = [line for line in file if not line.startswith("#")]
    assert len(lines) == len(pins)
    for source in lock.SOURCES:
        with open(os.path.join(project_root, "requirements", source)) as file:
            asked = [re.match(r"[A-Za-z0-9._-]+", line) for line in file if not line.startswith("#")]
        missing = {lock.normal(name.group()) for name in asked if name} - pins.keys()
        assert not missing, f"{source} names {missing}: run make lock"


def test_a_failed_step_shows_its_last_lines_and_the_log(toolchain, tmp_path):
    progress = toolchain("progress")
    log = str(tmp_path / "log")
    with pytest.raises(progress.StepFailed) as failure:
        progress.run_step("Trying", ["sh", "-c", "seq 100; echo broken; exit 3"], log)
    message = str(failure.value)
    assert "Trying failed (exit 3)" in message and "broken" in message and log in message
    assert "\n50\n" not in message
    with open(log) as file:
        assert "\n50\n" in file.read()
