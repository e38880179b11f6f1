"""A small fuzz run of every source (tests.fuzz.raw_rows makes large ones)."""

import pytest

from tests.fuzz.raw_rows import SOURCES, run_source

pytestmark = pytest.mark.spark


@pytest.mark.parametrize("source", SOURCES)
def test_every_row_is_used_right_or_rejected_for_its_reason(spark, tmp_path, source):
    result = run_source(spark, source, rows=500, seed=1, folder=str(tmp_path))
    assert not result.trace, result.trace
    assert result.is_good, "\n".join([str(result), *result.examples])
