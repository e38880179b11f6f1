"""spark-submit of .venv, with Spark's classes in an archive: a job then starts in two thirds of the time.

Java's class data sharing (JEP 350): the first job that loads most of Spark's classes writes them down as it
ends, in .venv/spark/classes.jsa; later jobs map that file into memory. Where it does not fit (another Java,
other jars) Java starts without it. The class path is part of what must fit, and may have no folder with
anything in it: hence the empty .venv/spark/conf in the place of Spark's own.
With settings of the user's own (SPARK_CONF_DIR) nothing of this is done.

What Spark shuffles and spills is patient data: it is kept below the run's folder, see own_local_dir.
"""

from __future__ import annotations

import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping

HERE = os.path.dirname(os.path.abspath(__file__))
SPARK = os.path.join(os.path.dirname(HERE), ".venv", "spark")
CLASSES = os.path.join(SPARK, "classes.jsa")
LOGGING = os.path.join(HERE, "spark", "log4j2.properties")
# This job loads too few classes to be the one that is written down.
LOADS_FEW = "generate_claims.py"


def with_options(environment: Mapping[str, str], *options: str) -> dict[str, str]:
    """The environment with our log settings, the empty folder of settings, and more options of the JVM."""
    words = [environment.get("SPARK_SUBMIT_OPTS", ""), f'"-Dlog4j2.configurationFile=file:{LOGGING}"']
    return {
        **environment,
        "SPARK_CONF_DIR": os.path.join(SPARK, "conf"),
        "SPARK_SUBMIT_OPTS": " ".join([*words, *options]).strip(),
    }


def with_archive(environment: Mapping[str, str]) -> dict[str, str]:
    """with_options, and Java maps the archive, where there is one that fits."""
    return with_options(environment, f'"-XX:SharedArchiveFile={CLASSES}" -Xlog:cds*=off')


def may_record(arguments: list[str]) -> bool:
    """Whether these are the arguments of a job whose classes are worth keeping."""
    return any("spark_jobs/" in word and LOADS_FEW not in word for word in arguments)


def run_and_record(command: list[str], environment: Mapping[str, str], classes: str = CLASSES) -> int:
    """Run a job that writes its classes, and keep them if it ends well; its exit status."""
    remove_abandoned(classes)
    draft = f"{classes}.{os.getpid()}"
    option = f'"-XX:ArchiveClassesAtExit={draft}" -Xlog:cds*=off'
    asked: list[int] = []
    # nohup ignores the second, and so does the job.
    passed_on = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    for number in passed_on:
        signal.signal(number, lambda number, _: asked.append(number))
    process = subprocess.Popen(command, env=with_options(environment, option))
    for number in passed_on:
        signal.signal(number, lambda number, _: process.send_signal(number))
    for number in asked:  # before the job was there
        process.send_signal(number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal asks the job itself
    try:
        status = process.wait()
        if status == 0 and os.path.exists(draft):
            os.replace(draft, classes)
    finally:
        if os.path.exists(draft):
            os.remove(draft)
    return status if status >= 0 else 128 - status


def remove_abandoned(classes: str) -> None:
    """Remove what jobs left whose wrapper was killed."""
    folder, name = os.path.split(classes)
    for draft in glob.glob(f"{glob.escape(name)}.*", root_dir=folder):
        number = draft.rpartition(".")[2]
        if number.isdigit() and not _runs(int(number)):
            os.remove(os.path.join(folder, draft))


def _runs(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def own_local_dir(folder: str) -> dict[str, str]:
    """What has Spark keep its temporary files in `folder`: in one of this process's own, which others can't
    enter. Those of processes that are gone are removed.

    Nothing for a folder in a store, or one with a comma, which Spark takes for two: then Spark's own default
    holds, which others can't enter, either.
    """
    if "://" in folder or "," in folder or os.environ.get("SPARK_LOCAL_DIRS"):
        return {}
    folder = os.path.abspath(folder.removeprefix("file:"))
    os.makedirs(folder, mode=0o700, exist_ok=True)
    os.chmod(folder, 0o700)
    host = socket.gethostname()
    for name in os.listdir(folder):
        owner, _, number = name.rpartition(".")
        if owner == host and number.isdigit() and not _runs(int(number)):
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
    own = os.path.join(folder, f"{host}.{os.getpid()}")  # exec keeps the number
    os.makedirs(own, mode=0o700, exist_ok=True)
    return {"SPARK_LOCAL_DIRS": own}


def main() -> int:
    """spark_submit.py [--local_dir FOLDER] [ARGUMENT…]: the arguments are spark-submit's."""
    arguments = sys.argv[1:]
    local: dict[str, str] = {}
    if arguments[:1] == ["--local_dir"]:
        _, folder, *arguments = arguments
        if not any("spark.local.dir" in word for word in arguments):
            local = own_local_dir(folder)
    command = [os.path.join(SPARK, "home", "bin", "spark-submit"), *arguments]
    environment = os.environ | {"SPARK_HOME": os.path.join(SPARK, "home")} | local
    if environment.get("SPARK_CONF_DIR"):
        os.execve(command[0], command, environment)
    if not os.path.exists(CLASSES) and may_record(command):
        return run_and_record(command, environment)
    os.execve(command[0], command, with_archive(environment))


if __name__ == "__main__":
    sys.exit(main())
