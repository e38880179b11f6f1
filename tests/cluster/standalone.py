"""A Spark standalone cluster on this machine, out of pyspark's own distribution: a master and two workers."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil

from tests.spark_submit import HOME, HOST, SHORT_LIVED, kill_all, spark_environment
from tests.waiting import wait_for

WORKERS = 2


@dataclass(frozen=True)
class Cluster:
    """url: for spark-submit --master. folder: logs, and the workers' folders."""

    url: str
    web: str
    folder: str
    processes: list[subprocess.Popen]

    def executors(self) -> dict[str, psutil.Process]:
        """Executor id → its JVM, of whatever application runs now."""
        found = {}
        for worker in self.processes[1:]:
            for child in psutil.Process(worker.pid).children():
                try:
                    command = child.cmdline()
                except psutil.NoSuchProcess:
                    continue
                if "--executor-id" in command:
                    found[command[command.index("--executor-id") + 1]] = child
        return found


@contextmanager
def standalone_cluster(folder: str, environment: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Start it, wait until both workers are there, and stop it whatever happens.

    environment: all that the master and the workers have; default: what the tests' own programs have.
    """
    if environment is None:
        environment = spark_environment()
    port, web_port = free_port(), free_port()
    url, web = f"spark://{HOST}:{port}", f"http://{HOST}:{web_port}"
    processes: list[subprocess.Popen] = []
    try:
        ports = ("--port", str(port), "--webui-port", str(web_port))
        processes.append(_start(folder, environment, "master.Master", *ports))
        for number in range(WORKERS):
            size = ("--cores", "1", "--memory", "1g", "--work-dir", f"{folder}/work{number}")
            processes.append(_start(folder, environment, "worker.Worker", "--webui-port", "0", *size, url))
        cluster = Cluster(url, web, folder, processes)
        wait_for(lambda: _is_ready(cluster), f"the workers of {url} (logs are in {folder})")
        yield cluster
    finally:
        for process in processes:
            kill_all(process)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def read_json(url: str) -> Any:
    """What a web page of Spark's says; None while nobody answers, or not in JSON: "Spark is starting up"."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)
    except (OSError, ValueError):
        return None


def _start(folder: str, environment: Mapping[str, str], program: str, *arguments: str) -> subprocess.Popen:
    command = [f"{HOME}/bin/spark-class", f"org.apache.spark.deploy.{program}", "--host", HOST, *arguments]
    log = open(f"{folder}/{program}.log", "ab")  # noqa: SIM115 (it is the process's)
    with log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, "SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": SHORT_LIVED},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _is_ready(cluster: Cluster) -> bool:
    assert all(process.poll() is None for process in cluster.processes), f"see the logs in {cluster.folder}"
    state = read_json(f"{cluster.web}/json/")
    return bool(state) and state["aliveworkers"] == WORKERS
