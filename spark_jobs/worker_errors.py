"""A ContractError that a Spark worker raised, as such: Spark itself shows it inside a long trace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from schemas.errors import ContractError

_RAISED = re.compile(r"schemas\.errors\.ContractError: (.+)\. Rule: (.+)\. Remedy: (.+)\.$", re.MULTILINE)


@contextmanager
def errors_of_workers() -> Iterator[None]:
    """Around each job: raises a ContractError of its tasks as such; any other error as it is."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        found = _RAISED.search(str(error))
        if found is None:
            raise
        raise ContractError(*found.groups()) from error
