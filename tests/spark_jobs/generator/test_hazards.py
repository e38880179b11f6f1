"""Hazards against sums done by hand."""

import numpy as np
import pytest

from spark_jobs.generator.hazards import BaseRates, Hazard

BANDS = (0.0, 40.0)


def hazard(start, end, changes=(), multipliers=(), rates=((0.01, 0.03), (0.02, 0.0))):
    """One woman and one man."""
    return Hazard(
        BaseRates(BANDS, *rates),
        np.array([True, False]),
        np.array(start, float),
        np.array(end, float),
        np.array(changes, float).reshape(len(multipliers), 2),
        np.array(multipliers, float),
    )


def test_the_total_adds_age_bands_for_each_sex():
    total = hazard([30, 30], [50, 50]).total
    np.testing.assert_allclose(total, [10 * 0.01 + 10 * 0.03, 10 * 0.02])


def test_multipliers_set_in_at_their_ages_and_multiply():
    total = hazard([30, 0], [60, 30], changes=[[50, 10], [45, np.inf]], multipliers=[2, 5]).total
    woman = 10 * 0.01 + 5 * 0.03 + 5 * 0.03 * 5 + 10 * 0.03 * 10
    man = 10 * 0.02 + 20 * 0.02 * 2
    np.testing.assert_allclose(total, [woman, man])


def test_a_change_before_the_start_counts_from_the_start():
    np.testing.assert_allclose(
        hazard([10, 10], [20, 20], changes=[[2, -5]], multipliers=[4]).total, [10 * 0.01 * 4, 10 * 0.02 * 4]
    )


def test_nobody_whose_start_lies_behind_the_end_has_a_hazard():
    assert not hazard([50, np.inf], [40, 60]).total.any()


def test_age_at_inverts_the_integral():
    ages = np.array([33.0, 44.0, 47.5, 55.0])
    changes, multipliers = [[50, 50], [45, 45]], [2, 5]
    upto = np.array([hazard([30, 30], [age, age], changes, multipliers).total[0] for age in ages])
    whole = hazard([30, 30], [60, 60], changes, multipliers)
    np.testing.assert_allclose(whole.age_at(np.zeros(4, int), upto), ages)


def test_onsets_follow_the_hazard():
    rng = np.random.default_rng(0)
    number = 20_000
    whole = Hazard(
        BaseRates(BANDS, (0.01, 0.01), (0.01, 0.01)),
        np.ones(number, bool),
        np.zeros(number),
        np.full(number, 100.0),
        np.full((1, number), 50.0),
        np.array([3.0]),
    )
    mass = rng.standard_exponential(number)
    who = np.flatnonzero(mass < whole.total)
    ages = whole.age_at(who, mass[who])
    survival = [np.exp(-0.01 * min(age, 50) - 0.03 * max(age - 50, 0)) for age in (20, 50, 70)]
    found = [1 - (ages < age).sum() / number for age in (20, 50, 70)]
    assert found == pytest.approx(survival, abs=0.012)
