"""When patients see a doctor or lie in hospital, what for, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spark_jobs.generator.courses import Episodes
from spark_jobs.generator.model import DAYS_PER_YEAR, DiseaseModel, draw_log_normal
from spark_jobs.generator.population import Patients

NO_EPISODE = -1


@dataclass(frozen=True)
class Visits:
    """V visits in order of patient and admission day. All arrays are (V,).

    episode: the one that is the reason for the visit; NO_EPISODE for something incidental.
    """

    patient: np.ndarray
    admit_day: np.ndarray
    discharge_day: np.ndarray
    inpatient: np.ndarray
    episode: np.ndarray

    def __len__(self) -> int:
        return len(self.patient)


def draw_visits(
    model: DiseaseModel, rng: np.random.Generator, patients: Patients, episodes: Episodes
) -> Visits:
    """Draw every visit of every patient within the time observed."""
    parts = [
        _first_visits(model, rng, patients, episodes),
        _later_visits(model, rng, patients, episodes),
        _incidental_visits(model, rng, patients),
    ]
    patient, day, episode, inpatient = (np.concatenate(column) for column in zip(*parts, strict=True))
    kept = _at_most(model.visits.most_visits, rng, patient, len(patients))
    patient, day, episode, inpatient = (values[kept] for values in (patient, day, episode, inpatient))
    order = np.argsort(patient * 2**20 + day, kind="stable")
    patient, day, episode, inpatient = (values[order] for values in (patient, day, episode, inpatient))
    stay = _stay_days(model, rng, episodes, episode, inpatient)
    discharge = np.minimum(day + stay, np.maximum(patients.exit_day[patient], day))
    return Visits(patient, day, discharge, inpatient, episode)


Part = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # patient, day, episode, inpatient


def _first_visits(
    model: DiseaseModel, rng: np.random.Generator, patients: Patients, episodes: Episodes
) -> Part:
    """The visit at which a condition is found, or an episode begins."""
    admission = np.array([c.admission for c in model.conditions])
    found = np.flatnonzero(episodes.own_visit & (episodes.start_day >= patients.entry_day[episodes.patient]))
    inpatient = rng.random(len(found)) < admission[episodes.condition[found]]
    return episodes.patient[found], episodes.start_day[found], found, inpatient


def _later_visits(
    model: DiseaseModel, rng: np.random.Generator, patients: Patients, episodes: Episodes
) -> Part:
    """Visits for a condition while it lasts."""
    chronic = np.array([c.chronic for c in model.conditions])
    per_year = np.array([c.visits_per_year for c in model.conditions])
    per_episode = np.array([max(c.visits - 1, 0) for c in model.conditions])
    # Only a chronic condition's later visits may be admissions: an acute one's are check-ups.
    admission = np.array([c.admission if c.chronic else 0.0 for c in model.conditions])
    condition, patient = episodes.condition, episodes.patient
    first = np.maximum(episodes.start_day + 1, patients.entry_day[patient])
    days = np.maximum(episodes.end_day - first + 1, 0)
    expected = np.where(
        chronic[condition],
        per_year[condition] * patients.utilisation[patient] * days / DAYS_PER_YEAR,
        np.where(episodes.own_visit & (days > 0), per_episode[condition], 0.0),
    )
    which = np.repeat(np.arange(len(episodes)), rng.poisson(expected))
    day = first[which] + np.floor(rng.random(len(which)) * days[which]).astype(np.int64)
    return patient[which], day, which, rng.random(len(which)) < admission[condition[which]]


def _incidental_visits(model: DiseaseModel, rng: np.random.Generator, patients: Patients) -> Part:
    days = patients.exit_day - patients.entry_day + 1
    expected = model.visits.incidental_per_year * patients.utilisation * days / DAYS_PER_YEAR
    patient = np.repeat(np.arange(len(patients)), rng.poisson(expected))
    day = patients.entry_day[patient] + np.floor(rng.random(len(patient)) * days[patient]).astype(np.int64)
    inpatient = rng.random(len(patient)) < model.visits.incidental_admission
    return patient, day, np.full(len(patient), NO_EPISODE), inpatient


def _at_most(most: int, rng: np.random.Generator, patient: np.ndarray, num_patients: int) -> np.ndarray:
    """Indices of the visits to keep: all, but a random `most` of a patient who has more."""
    if np.bincount(patient, minlength=num_patients).max(initial=0) <= most:
        return np.arange(len(patient))
    order = np.lexsort((rng.random(len(patient)), patient))
    starts = np.searchsorted(patient[order], np.arange(num_patients))
    rank = np.arange(len(patient)) - starts[patient[order]]
    return np.sort(order[rank < most])


def _stay_days(
    model: DiseaseModel,
    rng: np.random.Generator,
    episodes: Episodes,
    episode: np.ndarray,
    inpatient: np.ndarray,
) -> np.ndarray:
    """(V,) discharge minus admission in days: 0 for an outpatient visit, at least 1 for a stay."""
    spreads = [*(c.stay_days for c in model.conditions), model.visits.incidental_stay_days]
    stays = np.flatnonzero(inpatient)
    # NO_EPISODE is -1, so it finds what stands last: the incidental one.
    which = np.append(episodes.condition, len(spreads) - 1)[episode[stays]]
    medians = np.array([spread.median for spread in spreads])[which]
    days = draw_log_normal(rng, medians, np.array([spread.sigma for spread in spreads])[which])
    result = np.zeros(len(episode), np.int64)
    result[stays] = np.clip(np.rint(days), 1, model.visits.longest_stay_days)
    return result
