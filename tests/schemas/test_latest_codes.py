"""The one rule for long patients, against plain Python."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.latest_codes import latest_codes

# Gaps between the visits of one patient's codes; a visit number may be left out.
patients = st.lists(st.lists(st.integers(0, 2), max_size=9), max_size=6)


@given(gaps=patients, max_codes=st.integers(1, 10))
def test_the_last_codes_are_kept_and_their_visits_start_at_1(gaps, max_codes):
    visits = [np.cumsum([1, *steps])[: len(steps)].tolist() for steps in gaps]
    offsets = np.cumsum([0, *map(len, visits)])
    flat = np.asarray([number for patient in visits for number in patient], np.int32)
    found = latest_codes(flat, offsets, max_codes)
    kept = [patient[-max_codes:] for patient in visits]
    right = [[number - patient[0] + 1 for number in patient] for patient in kept]
    numbers = np.split(found.visit_numbers, found.offsets[1:-1]) if gaps else []
    assert [patient.tolist() for patient in numbers] == right
    assert (found.offsets[0], found.offsets[-1]) == (0, len(found.visit_numbers))
    assert found.visit_numbers.dtype == np.int32
    dropped = [len(patient) - len(cut) for patient, cut in zip(visits, kept, strict=True)]
    assert found.kept.tolist() == [
        place >= dropped[row] for row, patient in enumerate(visits) for place in range(len(patient))
    ]
