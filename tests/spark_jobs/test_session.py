"""Spark's ports on one machine are for that machine alone."""

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
    conf._conf = {f"spark.{name.replace('_', '.')}": value for name, value in settings.items()}
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
