"""Who the patients are, and when they are observed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from spark_jobs.generator.model import DAYS_PER_YEAR, DiseaseModel

_LEAST_OBSERVATION_YEARS = 0.5
_MOST_UTILISATION = 5.0
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Patients:
    """N patients. Days count from 1970-01-01; all arrays are (N,).

    entry_day and exit_day: first and last day observed. utilisation: how readily a patient seeks care, mean
    near 1.
    """

    birth_day: np.ndarray
    female: np.ndarray
    entry_day: np.ndarray
    exit_day: np.ndarray
    utilisation: np.ndarray

    def __len__(self) -> int:
        return len(self.birth_day)

    def ages(self, days: np.ndarray) -> np.ndarray:
        """Age in years on a day, for each patient."""
        return (days - self.birth_day) / DAYS_PER_YEAR

    @property
    def birth_year(self) -> np.ndarray:
        return self.birth_day.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970

    def first(self, number: int) -> Patients:
        return Patients(*(values[:number] for values in vars(self).values()))


def days_of_years(first_year: int, last_year: int) -> tuple[int, int]:
    """First and last day of a range of years, in days from 1970-01-01."""
    return (date(first_year, 1, 1) - _EPOCH).days, (date(last_year, 12, 31) - _EPOCH).days


def draw_patients(
    model: DiseaseModel, rng: np.random.Generator, number: int, first_day: int, last_day: int
) -> Patients:
    """Draw patients whose observation lies within first_day to last_day."""
    population = model.population
    years = (last_day - first_day + 1) / DAYS_PER_YEAR
    spread = population.observation_years
    observed = spread.median * np.exp(spread.sigma * rng.standard_normal(number))
    observed = np.clip(observed, min(_LEAST_OBSERVATION_YEARS, years), years) * DAYS_PER_YEAR
    entry_day = first_day + rng.random(number) * (last_day + 1 - first_day - observed)
    age = _entry_ages(model, rng, number)
    sigma = model.visits.utilisation_spread
    utilisation = np.exp(sigma * rng.standard_normal(number) - sigma**2 / 2)
    entry = np.floor(entry_day).astype(np.int64)
    return Patients(
        birth_day=np.floor(entry_day - age * DAYS_PER_YEAR).astype(np.int64),
        female=rng.random(number) < population.female,
        entry_day=entry,
        exit_day=np.clip(np.floor(entry_day + observed).astype(np.int64) - 1, entry, last_day),
        utilisation=np.minimum(utilisation, _MOST_UTILISATION),
    )


def _entry_ages(model: DiseaseModel, rng: np.random.Generator, number: int) -> np.ndarray:
    """Ages in years when observation begins: an age band by its weight, then any age in it alike."""
    weights = np.array(model.population.age_at_entry)
    edges = np.array([*model.age_bands, model.population.oldest_entry_age])
    cumulative = np.concatenate([[0.0], np.cumsum(weights / weights.sum())])
    return np.interp(rng.random(number), cumulative, edges)
