"""What a header line says, without Spark."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.sources.header_lines import SEPARATORS, Form, distinct_names, fields_of, separator_of
from spark_jobs.transforms.encoding import REPLACED, has_replaced

NAMES = st.lists(st.text("abc_ \"',;|\t1", min_size=1).filter(str.strip), min_size=2, max_size=6)


@given(NAMES, st.sampled_from(SEPARATORS))
def test_fields_are_those_that_a_writer_wrote(names, separator):
    line = io.StringIO()
    csv.writer(line, delimiter=separator, lineterminator="").writerow(names)
    assert fields_of(line.getvalue(), separator, Form()) == names


@given(
    st.permutations(["person_id", "visit_id", "dx"]), st.sampled_from(SEPARATORS), st.sampled_from(SEPARATORS)
)
def test_the_separator_is_that_of_the_names_that_are_needed(names, separator, usual):
    noise = "".join(other for other in SEPARATORS if other != separator) * 9
    line = separator.join([*names, f"note{noise}s"])
    assert separator_of(line, usual, {"person_id", "dx"}, Form()) == separator
    assert separator_of("one", usual, (), Form()) == usual


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["", "a", "b"], ["_c0", "a", "b"]),
        (["dx", "a", "DX"], ["dx0", "a", "DX2"]),
        ([], []),
    ],
)
def test_names_are_distinct(names, expected):
    assert distinct_names(names) == expected


@settings(deadline=None)  # the first call imports pyarrow
@given(st.lists(st.none() | st.text("aä\ufffd", max_size=4), min_size=1), st.integers(0, 3))
def test_rows_with_lost_signs(values, start):
    import pyarrow as pa

    column = pa.array([*["\ufffd"] * start, *values], pa.string()).slice(start)
    found = has_replaced([pa.array([None] * len(values), pa.string()), column])
    expected = [value is not None and REPLACED in value for value in values]
    assert (found.to_pylist() if found is not None else [False] * len(values)) == expected
