"""The patients' diseases: which conditions begin when, and how long they last."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spark_jobs.generator.hazards import BaseRates, Hazard
from spark_jobs.generator.model import DAYS_PER_YEAR, Condition, DiseaseModel, draw_log_normal
from spark_jobs.generator.population import Patients

_MOST_EPISODES = 60  # of one condition in one patient; a bound against multipliers that run away


@dataclass(frozen=True)
class Episodes:
    """E episodes; a chronic condition is one that comes once. All arrays are (E,).

    start_day and end_day (the last day) may lie before a patient's entry. own_visit: it brings the patient to
    a doctor by itself.
    """

    condition: np.ndarray
    patient: np.ndarray
    start_day: np.ndarray
    end_day: np.ndarray
    own_visit: np.ndarray

    def __len__(self) -> int:
        return len(self.condition)


def draw_courses(model: DiseaseModel, rng: np.random.Generator, patients: Patients) -> Episodes:
    """Draw every patient's conditions, causes before their consequences."""
    drawn: dict[str, Episodes] = {}
    for number, condition in enumerate(model.conditions):
        drawn[condition.key] = _draw_condition(number, condition, model, rng, patients, drawn)
    fields = ("condition", "patient", "start_day", "end_day", "own_visit")
    return Episodes(*(np.concatenate([getattr(e, field) for e in drawn.values()]) for field in fields))


def _draw_condition(
    number: int,
    condition: Condition,
    model: DiseaseModel,
    rng: np.random.Generator,
    patients: Patients,
    drawn: dict[str, Episodes],
) -> Episodes:
    who, start, own_visit = _by_hazard(condition, model, rng, patients, drawn)
    for link in condition.follows:
        source = drawn[link.condition]
        hit = np.flatnonzero(rng.random(len(source)) < link.probability)
        delay = np.rint(rng.uniform(*link.delay_days, len(hit))).astype(np.int64)
        who = np.concatenate([who, source.patient[hit]])
        start = np.concatenate([start, source.start_day[hit] + delay])
        own_visit = np.concatenate([own_visit, np.full(len(hit), link.own_visit)])
    seen = start <= patients.exit_day[who]
    if not condition.chronic:
        seen &= start >= patients.entry_day[who]
    order = np.lexsort((start, who))
    order = order[seen[order]]
    who, start, own_visit = who[order], start[order], own_visit[order]
    end = patients.exit_day[who]
    if condition.lasts_days:
        median = np.full(len(who), condition.lasts_days.median)
        days = draw_log_normal(rng, median, np.full(len(who), condition.lasts_days.sigma))
        end = np.minimum(start + np.maximum(1, np.rint(days)).astype(np.int64), end)
    # What is chronic begins once, and nothing begins again while it lasts.
    begins = np.ones(len(who), bool)
    begins[1:] = (who[1:] != who[:-1]) | ((start[1:] > end[:-1]) & (not condition.chronic))
    who, start, end, own_visit = who[begins], start[begins], end[begins], own_visit[begins]
    return Episodes(np.full(len(who), number), who, start, end, own_visit)


def _by_hazard(
    condition: Condition,
    model: DiseaseModel,
    rng: np.random.Generator,
    patients: Patients,
    drawn: dict[str, Episodes],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(patient, start_day, own_visit) of the episodes that the incidence brings."""
    rates = BaseRates(model.age_bands, condition.incidence_female, condition.incidence_male)
    if rates.is_zero:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool)
    # A chronic condition may have begun at any time of life; episodes matter only while observed.
    start = np.zeros(len(patients)) if condition.chronic else np.maximum(patients.ages(patients.entry_day), 0)
    if condition.only_with:
        start = np.maximum(
            start, np.min([_onset_ages(drawn[key], patients) for key in condition.only_with], axis=0)
        )
    changes = [_onset_ages(drawn[risk.condition], patients) + risk.after_years for risk in condition.risks]
    hazard = Hazard(
        rates,
        patients.female,
        start,
        patients.ages(patients.exit_day + 1),
        np.array(changes).reshape(len(changes), len(patients)),
        np.array([risk.multiplier for risk in condition.risks]),
    )
    if condition.chronic:
        mass = rng.standard_exponential(len(patients))
        who = np.flatnonzero(mass < hazard.total)
        mass = mass[who]
    else:
        count = np.minimum(rng.poisson(hazard.total), _MOST_EPISODES)
        who = np.repeat(np.arange(len(patients)), count)
        mass = rng.random(len(who)) * hazard.total[who]
    days = np.floor(patients.birth_day[who] + hazard.age_at(who, mass) * DAYS_PER_YEAR).astype(np.int64)
    return who, days, np.ones(len(who), bool)


def _onset_ages(episodes: Episodes, patients: Patients) -> np.ndarray:
    """(N,) age in years at the first onset, infinite where there is none."""
    ages = np.full(len(patients), np.inf)
    who, first = np.unique(episodes.patient, return_index=True)  # episodes are in order of patient and day
    ages[who] = (episodes.start_day[first] - patients.birth_day[who]) / DAYS_PER_YEAR
    return ages
