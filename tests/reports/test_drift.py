import math
from dataclasses import replace

import pytest

from reports.drift import DriftLimits, common_bins, compare, jensen_shannon, psi, verdict_lines
from schemas.errors import ContractError
from schemas.profile import Code, Histogram, Month, Rejects
from tests.reports.profiles import TOKENS, a_profile, without_months


def failed(here, there=None, **limits) -> list[str]:
    drift = compare(here, there or a_profile(), DriftLimits(**limits))
    assert drift.ok == (not drift.failed)
    return [check.name for check in drift.failed]


def test_measures_of_known_value():
    assert jensen_shannon([1, 1], [5, 5]) == 0
    assert jensen_shannon([1, 0], [0, 7]) == 1
    assert jensen_shannon([95, 5, 0], [95, 0, 5]) == pytest.approx(0.05)
    assert psi([60, 40], [50, 50]) == pytest.approx(0.1 * math.log(1.2) - 0.1 * math.log(0.8))
    assert psi([1, 0], [1, 1]) < math.inf


def test_the_same_data_and_twice_as_much_of_it_pass():
    here = a_profile()
    assert failed(here) == []
    twice = replace(here, rows=2 * here.rows, patients=2 * here.patients,
                    codes=tuple(Code(c.token, 2 * c.patients, 2 * c.rows) for c in here.codes))  # fmt: skip
    assert failed(twice) == []


def test_a_shift_of_codes_fails_and_is_named():
    here = a_profile()
    other = [Code(f"ICD10CM//Z{n}", code.patients, code.rows) for n, code in enumerate(here.codes[:4])]
    shifted = replace(here, codes=(*other, *here.codes[4:]))
    assert failed(shifted) == ["Codes", "Codes gone", "Codes new"]
    movers = compare(shifted, here, DriftLimits()).movers
    assert {mover.token for mover in movers[:8]} == {*TOKENS[:4], *(code.token for code in other)}
    assert failed(shifted, codes=0.6, codes_gone=0.6) == []


def test_a_rare_code_hidden_by_the_small_cell_rule_is_not_gone():
    here = a_profile()
    rare = Code("ICD10CM//Q99.9", 12, 9_000)
    assert failed(here, replace(here, codes=(*here.codes, rare))) == []


def test_a_missing_month_fails():
    here = a_profile()
    assert failed(without_months(here, "2015-03")) == ["Months without rows"]
    assert failed(without_months(here, "2016-12")) == ["Months without rows"]  # the newest
    assert failed(without_months(here, "2015-03"), months_without_rows=1) == []
    assert failed(without_months(here, "2015-03"), without_months(here, "2015-03")) == []
    assert failed(without_months(here, "2014-01", "2014-02")) == []  # a window that moves on


def test_a_month_with_half_its_files_fails():
    here = a_profile()
    thin = here.months | {"2016-05": Month(2_000, {"ICD10CM": 2_000})}
    assert failed(replace(here, months=thin)) == ["Thinnest month"]


def test_other_shapes_of_the_data_fail():
    here = a_profile()
    longer = (20_000, *[2_000] * 5, *[10_000] * 5)
    assert failed(replace(here, los=longer)) == ["Length of stay"]
    assert failed(replace(here, systems={"ICD10CM": 200_000, "ICD9CM": 16_000})) == ["Code systems"]
    assert failed(replace(here, patients=4_000)) == ["Patients", "Rows a patient"]
    assert failed(replace(here, rejected={"code_malformed": Rejects(9_000)})) == ["Rows set aside"]
    few = Histogram((1, 2, 4, 8, 16), (7_000, 2_000, 0, 0), 2.0, 1, 3)
    assert failed(replace(here, visits_per_patient=few)) == ["Visits a patient"]


FEW = {
    **{"rows": 60, "patients": None, "visits": None, "codes": (), "systems": {"ICD10CM": None}},
    **{"rejected": {}, "los": (None,) * 11, "visits_per_patient": None, "codes_per_patient": None},
}


def test_fewer_than_11_patients_do_not_pass():
    hidden = ["Patients", "Months", "Code systems", "Length of stay", "Visits a patient", "Codes a patient"]
    few = a_profile(**FEW, months={"2016-12": Month(None, {"ICD10CM": None})})
    assert set(failed(few)) >= {"Codes", *hidden}
    assert set(failed(a_profile(), few)) >= {"Codes", *hidden}
    checks = {check.name: check for check in compare(few, a_profile(), DriftLimits()).checks}
    assert checks["Patients"].measured == "hidden here"
    assert {check.measured for check in compare(a_profile(), few, DriftLimits()).failed} >= {
        "hidden in the reference"
    }


def test_nothing_to_compare_fails():
    few = a_profile(stage="shards", months={}, **FEW)  # shards never have months
    drift = compare(few, few, DriftLimits())
    assert not drift.ok
    assert "FAIL  Codes: none to compare" in verdict_lines(drift)
    assert failed(few, a_profile(stage="shards", months={}))


def test_months_hidden_where_the_reference_has_many_rows_are_thin():
    here = a_profile()
    hidden = {name: Month(None, {}) for name in list(here.months)[:20]}
    assert "Thinnest month" in failed(replace(here, months=here.months | hidden))


def test_months_of_another_year_alone_are_no_failure():
    here, before = a_profile(), a_profile()
    earlier = {f"19{name[2:]}": month for name, month in before.months.items()}
    assert failed(here, replace(before, months=earlier)) == []


def test_bins_that_both_have():
    here = Histogram((1, 2, 4, 16), (10, 20, 30), 0, 0, 0)
    there = Histogram((2, 4, 8, 16, 32), (40, 50, 60, 70), 0, 0, 0)
    assert common_bins(here, there) == ([1, 2, 4, 16], [10, 20, 30, 0], [0, 40, 110, 70])
    assert common_bins(here, None) == ([], [], [])


def test_another_stage_or_nothing_is_refused():
    with pytest.raises(ContractError, match="a stage is compared with the same stage"):
        compare(a_profile(), a_profile(stage="sequences"), DriftLimits())
    with pytest.raises(ContractError, match="has no rows"):
        compare(a_profile(), a_profile(rows=0), DriftLimits())
