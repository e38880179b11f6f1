"""Jobs start with Spark's classes in an archive, which the first good job writes."""

import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.waiting import wait_for

# What spark-submit and its JVM do here: say how they were started, write the archive that they are to write.
SUBMIT = """\
echo "conf=$SPARK_CONF_DIR opts=$SPARK_SUBMIT_OPTS args=$*" >>"$RECORD"
archive=$(printf '%s' "$SPARK_SUBMIT_OPTS" | sed -n 's/.*ArchiveClassesAtExit=\\([^"]*\\)".*/\\1/p')
[ -z "$archive" ] || echo "classes of $$" >"$archive"
"""
JOB = "spark_jobs/preprocess.py"


@pytest.fixture(autouse=True)
def hangups_are_not_ignored():
    """These tests, too, may run under nohup, whose children all ignore a hangup."""
    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, previous)


@pytest.fixture
def project(project_root, tmp_path):
    """A project of spark_submit.py and a stub in the place of Spark."""
    root = tmp_path / "a project"
    (root / "toolchain").mkdir(parents=True)
    shutil.copy(f"{project_root}/toolchain/spark_submit.py", root / "toolchain")
    (root / ".venv/spark/conf").mkdir(parents=True)
    (root / ".venv/spark/home/bin").mkdir(parents=True)
    return root


def start(project: Path, *arguments: str, then: str = "", **environment: str) -> subprocess.Popen:
    """Start a job that, its archive written, does `then`, a line of shell."""
    submit = project / ".venv/spark/home/bin/spark-submit"
    submit.write_text(f"#!/bin/sh\n{SUBMIT}{then}\n")
    submit.chmod(0o755)
    ours = ("SPARK_CONF_DIR", "SPARK_SUBMIT_OPTS")
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.Popen(
        [
            sys.executable,
            str(project / "toolchain/spark_submit.py"),
            *(arguments or ("--master", "local", JOB)),
        ],
        env=inherited | {"RECORD": str(project / "record")} | environment,
    )


def run(project: Path, *arguments: str, **options: str) -> int:
    return start(project, *arguments, **options).wait()


def started(project: Path) -> str:
    """How the last job was started."""
    return (project / "record").read_text().splitlines()[-1]


def archives(project: Path) -> list[str]:
    return sorted(path.name for path in (project / ".venv/spark").glob("classes*"))


def test_the_first_job_writes_its_classes_and_later_ones_use_them(project):
    assert run(project) == 0
    assert archives(project) == ["classes.jsa"]
    kept = (project / ".venv/spark/classes.jsa").read_text()
    assert run(project) == 0
    used = f'"-XX:SharedArchiveFile={project}/.venv/spark/classes.jsa"'
    assert used in started(project) and "ArchiveClassesAtExit" not in started(project)
    assert (project / ".venv/spark/classes.jsa").read_text() == kept


def test_arguments_log_settings_and_the_user_s_options_arrive(project):
    for _ in ("recorded", "used"):
        run(project, "--conf", "a=b c", JOB, SPARK_SUBMIT_OPTS="-Dmine=1")
        line = started(project)
        assert line.endswith(f"args=--conf a=b c {JOB}")
        assert f"conf={project}/.venv/spark/conf " in line and "opts=-Dmine=1 " in line
        assert f'"-Dlog4j2.configurationFile=file:{project}/toolchain/spark/log4j2.properties"' in line


@pytest.mark.parametrize("script", ["spark_jobs/generate_claims.py", "mine.py"])
def test_a_job_that_loads_few_classes_writes_none(project, script):
    assert run(project, script) == 0
    assert archives(project) == [] and "SharedArchiveFile" in started(project)


def test_the_user_s_own_settings_are_left_alone(project):
    assert run(project, SPARK_CONF_DIR="/mine", SPARK_SUBMIT_OPTS="-Dmine=1", then="exit 7") == 7
    assert started(project).startswith("conf=/mine opts=-Dmine=1 args=") and archives(project) == []
    assert run(project, SPARK_CONF_DIR="") == 0, "as Spark does, take an empty one for none"
    assert archives(project) == ["classes.jsa"]


@pytest.mark.parametrize(("then", "status"), [("exit 3", 3), ("kill -9 $$", 137), ("kill -TERM $$", 143)])
def test_a_job_that_fails_leaves_nothing_and_its_status(project, then, status):
    assert run(project, then=then) == status
    assert archives(project) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_job_which_may_end_in_order(project, number):
    name = number.name.removeprefix("SIG")
    ready = project / "ready"
    trap = f'trap "echo ended >>\\"$RECORD\\"; exit 9" {name}'
    then = f'{trap}; mkfifo "$RECORD.wait"; : >"{ready}"; read -r _ <>"$RECORD.wait"'
    job = start(project, then=then)
    wait_for(ready.exists, "the job")
    job.send_signal(number)
    assert job.wait() == 9 and started(project) == "ended"
    assert archives(project) == []


def test_under_nohup_a_hangup_stops_nothing(project):
    ready = project / "ready"
    then = f'mkfifo "$RECORD.wait"; : >"{ready}"; read -r _ <"$RECORD.wait"'
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        job = start(project, then=then)
    finally:
        signal.signal(signal.SIGHUP, previous)
    wait_for(ready.exists, "the job")
    job.send_signal(signal.SIGHUP)
    with open(project / "record.wait", "w") as fifo:
        fifo.write("\n")
    assert job.wait() == 0 and archives(project) == ["classes.jsa"]


def test_what_killed_jobs_left_goes_and_what_runs_stays(project):
    ended = subprocess.Popen(["true"])
    ended.wait()
    for number in (ended.pid, os.getpid()):
        (project / f".venv/spark/classes.jsa.{number}").touch()
    assert run(project) == 0
    assert archives(project) == ["classes.jsa", f"classes.jsa.{os.getpid()}"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_the_job_is_there_is_not_lost(toolchain, project_root, tmp_path, number):
    code = textwrap.dedent(
        f"""
        import os, subprocess, sys
        sys.path.insert(0, {project_root + "/toolchain"!r})
        import spark_submit
        start = subprocess.Popen
        def asked_meanwhile(*words, **options):
            os.kill(os.getpid(), {int(number)})
            return start(*words, **options)
        subprocess.Popen = asked_meanwhile
        sys.exit(spark_submit.run_and_record(["sleep", "600"], os.environ, {str(tmp_path / "x.jsa")!r}))
        """
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 128 + number


@pytest.mark.spark
def test_a_real_jvm_writes_an_archive_and_takes_it(toolchain, tmp_path):
    """Java's options are those that it knows, and an archive that does not fit is no error."""
    spark_submit = toolchain("spark_submit")
    classes = str(tmp_path / "classes.jsa")
    java = shutil.which("java")
    if java is None:
        pytest.skip("there is no java on PATH")

    def options(environment):
        return [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', environment["SPARK_SUBMIT_OPTS"])]

    use = options(spark_submit.with_options({}, f'"-XX:SharedArchiveFile={classes}" -Xlog:cds*=off'))
    for content in (None, b"not an archive"):
        if content:
            Path(classes).write_bytes(content)
        done = subprocess.run([java, *use, "-version"], capture_output=True, text=True)
        assert done.returncode == 0 and "warning" not in done.stdout + done.stderr


def _local_dirs(module, monkeypatch, folder: Path) -> str | None:
    monkeypatch.delenv("SPARK_LOCAL_DIRS", raising=False)
    return module["own_local_dir"](str(folder)).get("SPARK_LOCAL_DIRS")


@pytest.fixture
def module(project_root):
    return runpy.run_path(f"{project_root}/toolchain/spark_submit.py")


def test_spark_s_own_files_are_below_the_run_and_nobody_else_s(module, monkeypatch, tmp_path):
    folder = tmp_path / "run of mine" / ".spark"
    own = Path(_local_dirs(module, monkeypatch, folder))
    assert own.parent == folder and own.name.endswith(f".{os.getpid()}")
    assert [path.stat().st_mode & 0o777 for path in (folder, own)] == [0o700, 0o700]


def test_what_killed_jobs_left_there_is_removed_at_the_next_start(module, monkeypatch, tmp_path):
    folder = tmp_path / ".spark"
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=subprocess.PIPE)
    host = socket.gethostname()
    names = {f"{host}.{int(gone.stdout)}": False, f"{host}.{os.getppid()}": True, "another-host.1": True}
    for name in [*names, "someone-s"]:
        (folder / name / "blockmgr").mkdir(parents=True)
    _local_dirs(module, monkeypatch, folder)
    assert {name: (folder / name).exists() for name in names} == names
    assert (folder / "someone-s").exists()


def test_where_spark_would_take_the_folder_for_another_its_default_stays(module, monkeypatch, tmp_path):
    for folder in ("s3://bucket/run/.spark", str(tmp_path / "a,b" / ".spark")):
        assert _local_dirs(module, monkeypatch, folder) is None
    monkeypatch.setenv("SPARK_LOCAL_DIRS", "/scratch")
    assert module["own_local_dir"](str(tmp_path / ".spark")) == {}
    assert not os.listdir(tmp_path)


def test_the_folder_is_handed_on_unless_the_user_names_one(project, tmp_path):
    then = 'echo "$SPARK_LOCAL_DIRS" >>"$RECORD.dirs"'
    for more in ((), ("--conf", "spark.local.dir=/scratch")):
        arguments = ("--local_dir", str(tmp_path / ".spark"), *more, "--master", "local", JOB)
        assert start(project, *arguments, then=then, SPARK_LOCAL_DIRS="").wait() == 0
    first, second = (project / "record.dirs").read_text().splitlines()
    assert first.startswith(str(tmp_path / ".spark")) and second == ""
    assert "--local_dir" not in (project / "record").read_text()
