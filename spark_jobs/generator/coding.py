"""What is written on each visit's claim."""

from __future__ import annotations

from datetime import date

import numpy as np

from schemas.claims import MAX_DIAGNOSES
from spark_jobs.generator.code_table import CodeTable
from spark_jobs.generator.courses import Episodes
from spark_jobs.generator.model import DiseaseModel
from spark_jobs.generator.visits import NO_EPISODE, Visits

# Claims with a discharge (or service) from this day on use ICD-10-CM: 45 CFR 162.1002.
ICD10_FROM_DAY = (date(2015, 10, 1) - date(1970, 1, 1)).days

# Order on a claim: the reason for the visit, then what is acute, what is chronic, what is incidental.
_REASON, _ACUTE, _CHRONIC, _INCIDENTAL = range(4)
_JUST_BEHIND = 1e-6  # a condition's second code follows its first


def icd_system(discharge_day: np.ndarray) -> np.ndarray:
    """0 for ICD-9-CM, 1 for ICD-10-CM, by the day of discharge."""
    return (discharge_day >= ICD10_FROM_DAY).astype(np.int64)


def draw_diagnoses(
    model: DiseaseModel, table: CodeTable, rng: np.random.Generator, visits: Visits, episodes: Episodes
) -> np.ndarray:
    """(V, MAX_DIAGNOSES) code numbers in order of priority, -1 after the last; no code twice on a claim."""
    visit, episode, priority = _mentions(model, rng, visits, episodes)
    system = icd_system(visits.discharge_day)
    u = rng.random(len(visit))
    usual = rng.random(len(visit)) < model.coding.usual_code
    u[usual] = rng.random(len(episodes))[episode[usual]]
    code = table.of_conditions(episodes.condition[episode], system[visit], u)

    more = np.flatnonzero(rng.random(len(visit)) < model.coding.second_code)
    second = table.second_of_conditions(
        code[more], episodes.condition[episode[more]], system[visit[more]], rng.random(len(more))
    )
    extra_visit, extra_priority = _incidental(model, rng, visits)
    extra_code = table.incidental(system[extra_visit], rng.random(len(extra_visit)))
    return _arrange(
        len(visits),
        np.concatenate([visit, visit[more], extra_visit]),
        np.concatenate([code, second, extra_code]),
        np.concatenate([priority, priority[more] + _JUST_BEHIND, extra_priority]),
        len(table.codes),
    )


Mentions = tuple[np.ndarray, np.ndarray, np.ndarray]  # visit, episode, priority


def _mentions(model: DiseaseModel, rng: np.random.Generator, visits: Visits, episodes: Episodes) -> Mentions:
    """Which conditions are written on which claim: its reason, and others that are present."""
    reason = np.flatnonzero(visits.episode != NO_EPISODE)
    also_visit, also_episode = _present(visits, episodes)
    coded = np.array([c.coded for c in model.conditions])[episodes.condition[also_episode]]
    looks = np.where(visits.inpatient[also_visit], model.coding.inpatient_attention, 1.0)
    seen = rng.random(len(also_visit)) < 1 - (1 - coded) ** looks
    also_visit, also_episode = also_visit[seen], also_episode[seen]

    visit = np.concatenate([reason, also_visit])
    episode = np.concatenate([visits.episode[reason], also_episode])
    chronic = np.array([c.chronic for c in model.conditions])[episodes.condition[episode]]
    priority = np.where(chronic, _CHRONIC, _ACUTE) + rng.random(len(visit))
    priority[: len(reason)] = _REASON
    return visit, episode, priority


def _present(visits: Visits, episodes: Episodes) -> tuple[np.ndarray, np.ndarray]:
    """(visit, episode) pairs: the episode lasts at some day of the visit and is not its reason."""
    order = np.argsort(visits.patient * 2**20 + visits.discharge_day, kind="stable")
    key = visits.patient[order] * 2**20 + visits.discharge_day[order]
    longest = int((visits.discharge_day - visits.admit_day).max(initial=0))
    base = episodes.patient * 2**20
    low = np.searchsorted(key, base + episodes.start_day)
    high = np.searchsorted(key, base + episodes.end_day + longest, side="right")
    count = high - low
    episode = np.repeat(np.arange(len(episodes)), count)
    place = np.arange(len(episode)) - np.repeat(np.cumsum(count) - count, count) + low[episode]
    visit = order[place]
    real = (visits.admit_day[visit] <= episodes.end_day[episode]) & (visits.episode[visit] != episode)
    return visit[real], episode[real]


def _incidental(
    model: DiseaseModel, rng: np.random.Generator, visits: Visits
) -> tuple[np.ndarray, np.ndarray]:
    """(visit, priority) of incidental codes; one is the reason for each visit that has no other."""
    without = visits.episode == NO_EPISODE
    visit = np.repeat(np.arange(len(visits)), rng.poisson(model.coding.incidental_per_claim, len(visits)))
    first = np.flatnonzero(without)
    priority = np.concatenate([np.full(len(first), float(_REASON)), _INCIDENTAL + rng.random(len(visit))])
    return np.concatenate([first, visit]), priority


def _arrange(
    num_visits: int, visit: np.ndarray, code: np.ndarray, priority: np.ndarray, num_codes: int
) -> np.ndarray:
    """Each visit's codes in order of priority, every code once, at most MAX_DIAGNOSES."""
    order = np.lexsort((priority, visit * num_codes + code))
    same = visit[order] * num_codes + code[order]
    order = order[np.concatenate([np.ones(min(1, len(same)), bool), same[1:] != same[:-1]])]
    order = order[np.argsort(visit[order] * 8 + priority[order], kind="stable")]
    visit, code = visit[order], code[order]
    rank = np.arange(len(visit)) - np.searchsorted(visit, np.arange(num_visits))[visit]
    kept = rank < MAX_DIAGNOSES
    diagnoses = np.full((num_visits, MAX_DIAGNOSES), -1, np.int64)
    diagnoses[visit[kept], rank[kept]] = code[kept]
    return diagnoses
