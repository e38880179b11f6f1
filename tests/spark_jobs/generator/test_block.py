"""What one block is: deterministic, whole, and within the contract's rules."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from schemas.claims import MAX_DIAGNOSES
from spark_jobs.generator.arrow import claims_batch, patients_batch
from spark_jobs.generator.block import Plan, simulate_block, simulate_patients
from spark_jobs.generator.code_table import CodeTable
from spark_jobs.generator.population import days_of_years

SWITCH = date(2015, 10, 1)


def plan(num_patients=600, seed=0, **changed):
    return Plan(
        num_patients, seed, **({"first_year": 2010, "last_year": 2021, "patients_per_block": 500} | changed)
    )


@pytest.fixture(scope="module")
def table(model):
    return CodeTable(model)


def batch(model, table, number, **options):
    return claims_batch(simulate_block(model, table, plan(**options), number), table)


def test_a_block_depends_on_seed_and_number_alone(model, table):
    first = batch(model, table, 1)
    assert first == batch(model, table, 1)
    assert first != batch(model, table, 1, seed=1)
    assert first.column("diagnosis_1") != batch(model, table, 0).column("diagnosis_1")


def test_the_first_patients_of_more_are_those_of_fewer(model, table):
    few, many = batch(model, table, 1), batch(model, table, 1, num_patients=900)
    assert few.num_rows < many.num_rows
    assert few == many.slice(0, few.num_rows)
    assert few.column("patient_id")[-1].as_py() <= "P00000600"


def test_patients_alone_are_the_patients_of_the_block(model, table):
    block = simulate_block(model, table, plan(), 1)
    alone = simulate_patients(model, plan(), 1)
    assert patients_batch(500, alone) == patients_batch(500, block.patients)
    assert patients_batch(500, alone).column("patient_id").to_pylist()[:2] == ["P00000501", "P00000502"]
    assert len(alone) == 100


def test_claims_and_patients_have_the_contract_s_form(model, table):
    rows = batch(model, table, 0).to_pylist()
    assert len({row["claim_id"] for row in rows}) == len(rows)
    assert rows == sorted(rows, key=lambda row: (row["patient_id"], row["admit_date"]))
    for row in rows:
        codes = [row[f"diagnosis_{n}"] for n in range(1, MAX_DIAGNOSES + 1)]
        written = [code for code in codes if code]
        assert codes[: len(written)] == written, "nulls come after the last code"
        assert written and len(set(written)) == len(written)
        assert row["claim_id"][1:9] == row["patient_id"][1:]
        assert date(2010, 1, 1) <= row["admit_date"] <= row["discharge_date"] <= date(2021, 12, 31)
        assert row["setting"] == "inpatient" or row["admit_date"] == row["discharge_date"]
        assert row["icd_version"] == (10 if row["discharge_date"] >= SWITCH else 9)


def test_each_system_has_its_own_codes(simulated):
    owner = np.zeros(len(simulated.table.codes), int)
    position = 0
    for condition in simulated.model.conditions:
        for system, codes in enumerate((condition.icd9, condition.icd10)):
            owner[position : position + len(codes)] = system
            position += len(codes)
    owner[position + len(simulated.model.incidental[9]) :] = 1
    np.testing.assert_array_equal(owner[simulated.code], simulated.system[simulated.claim])


def test_a_stay_is_coded_by_its_discharge(simulated):
    switch = (SWITCH - date(1970, 1, 1)).days
    across = (simulated.admit_day < switch) & (simulated.discharge_day >= switch)
    assert across.sum() >= 3
    assert (simulated.system[across] == 1).all()
    assert (simulated.system == (simulated.discharge_day >= switch)).all()


def test_claims_lie_within_the_patient_s_observation(simulated):
    first, last = days_of_years(2010, 2021)
    for block in simulated.blocks:
        patients, visits = block.patients, block.visits
        assert (patients.birth_day <= patients.entry_day).all()
        assert (first <= patients.entry_day).all() and (patients.exit_day <= last).all()
        assert (visits.admit_day >= patients.entry_day[visits.patient]).all()
        assert (visits.discharge_day <= patients.exit_day[visits.patient]).all()


def test_nobody_has_a_condition_of_the_other_sex(simulated):
    female = np.concatenate([block.patients.female for block in simulated.blocks])
    for key in ("pregnancy", "delivery", "womens_examination", "menstrual_disorder"):
        assert female[simulated.patients_with(key)].all()
    for key in ("prostate_cancer", "prostatic_hyperplasia"):
        assert not female[simulated.patients_with(key)].any()


def test_a_complication_never_comes_before_what_it_needs(simulated):
    number_of = simulated.number_of
    for block in simulated.blocks:
        courses = block.courses
        for condition in simulated.model.conditions:
            if not condition.only_with:
                continue
            onset = np.full(5_000, np.iinfo(np.int64).max)
            for key in condition.only_with:
                mine = courses.condition == number_of[key]
                np.minimum.at(onset, courses.patient[mine], courses.start_day[mine])
            mine = courses.condition == number_of[condition.key]
            # A day's slack: ages are rounded down to days.
            assert (courses.start_day[mine] >= onset[courses.patient[mine]] - 1).all()


def test_a_patient_with_too_many_visits_keeps_some_of_them(model, table):
    from dataclasses import replace

    capped = replace(model, visits=replace(model.visits, most_visits=5))
    visits = simulate_block(capped, table, plan(), 0).visits
    counts = np.bincount(visits.patient)
    assert counts.max() == 5 and (counts < 5).any()
