"""Spark's ports on one machine are for that machine alone."""

import os
import subprocess
import sys

import pytest
from pyspark import SparkConf

from spark_jobs.session import _loopback

LOOPBACK = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in ("SPARK_LOCAL_IP", "MASTER"):
        monkeypatch.delenv(name, raising=False)


def _conf(**settings: str) -> SparkConf:
    conf = SparkConf(loadDefaults=False)
    for name, value in settings.items():
        conf.set(f"spark.{name.replace('_', '.')}", value)
    return conf


@pytest.mark.parametrize("master", [{}, {"master": "local[*]"}, {"master": "local-cluster[2,1,1024]"}])
def test_a_local_master_listens_on_the_loopback_interface(master):
    assert _loopback(_conf(**master)) == LOOPBACK


@pytest.mark.parametrize("master", ["spark://host:7077", "yarn", "k8s://https://host"])
def test_a_cluster_s_driver_listens_where_its_executors_reach_it(master):
    assert _loopback(_conf(master=master)) == {}


def test_an_address_that_is_given_stays(monkeypatch):
    assert _loopback(_conf(driver_bindAddress="10.0.0.1")) == {}
    assert _loopback(_conf(driver_host="host")) == {}
    monkeypatch.setenv("SPARK_LOCAL_IP", "10.0.0.1")
    assert _loopback(_conf()) == {}


PROGRAM = """
from spark_jobs.session import open_session

conf = open_session("x").sparkContext.getConf()
print("addresses", conf.get("spark.driver.host"), conf.get("spark.driver.bindAddress"))
"""


@pytest.mark.parametrize(
    ("given", "addresses"),
    [("", "127.0.0.1 127.0.0.1"), ("--conf spark.driver.host=localhost", "localhost None")],
    ids=["bare", "address"],
)
def test_what_spark_submit_was_given_counts(project_root, given, addresses):
    environment = dict(os.environ, PYSPARK_SUBMIT_ARGS=f"--master local[1] {given} pyspark-shell")
    # Spark would look up the machine's own name, which a machine may not know.
    environment |= {"PYTHONPATH": project_root, "SPARK_LOCAL_HOSTNAME": "localhost"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert f"addresses {addresses}\n" in done.stdout, done.stderr
