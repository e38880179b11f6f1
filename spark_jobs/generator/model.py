"""What a disease model says, as plain values (see disease_model.yaml for the meaning of each)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

DAYS_PER_YEAR = 365.25
_P90 = 1.2815515655446004  # 90th percentile of the standard normal distribution


@dataclass(frozen=True)
class Spread:
    """A log-normal distribution, by its median and its 90th percentile."""

    median: float
    p90: float

    @property
    def sigma(self) -> float:
        return math.log(self.p90 / self.median) / _P90


@dataclass(frozen=True)
class Risk:
    """The hazard is multiplied from `after_years` after the antecedent's first onset."""

    condition: str
    multiplier: float
    after_years: float


@dataclass(frozen=True)
class Follows:
    """Each episode of the antecedent is followed by one of this condition with this probability."""

    condition: str
    probability: float
    delay_days: tuple[float, float]
    own_visit: bool


@dataclass(frozen=True)
class Condition:
    """One condition.

    incidence_female, incidence_male: episodes (acute) or onsets (chronic) a person-year, one number an age
    band. lasts_days: how long an episode lasts; None for a chronic condition that stays for ever. visits (an
    episode) is that of acute conditions, visits_per_year that of chronic ones.
    """

    key: str
    name: str
    chronic: bool
    icd9: tuple[str, ...]
    icd10: tuple[str, ...]
    incidence_female: tuple[float, ...]
    incidence_male: tuple[float, ...]
    risks: tuple[Risk, ...]
    only_with: tuple[str, ...]
    follows: tuple[Follows, ...]
    coded: float
    admission: float
    stay_days: Spread
    visits_per_year: float = 0.0
    visits: float = 0.0
    lasts_days: Spread | None = None

    @property
    def antecedents(self) -> frozenset[str]:
        links = (*(r.condition for r in self.risks), *(f.condition for f in self.follows))
        return frozenset(self.only_with) | frozenset(links)


@dataclass(frozen=True)
class Population:
    female: float
    age_at_entry: tuple[float, ...]
    oldest_entry_age: float
    observation_years: Spread


@dataclass(frozen=True)
class Visits:
    utilisation_spread: float
    incidental_per_year: float
    incidental_admission: float
    incidental_stay_days: Spread
    longest_stay_days: int
    most_visits: int


@dataclass(frozen=True)
class IncidentalZipf:
    exponent: float
    shift: float


@dataclass(frozen=True)
class Coding:
    usual_code: float
    second_code: float
    inpatient_attention: float
    incidental_per_claim: float
    incidental_zipf: IncidentalZipf


@dataclass(frozen=True)
class DiseaseModel:
    """A checked model. Conditions stand in causal order: every antecedent before what depends on it.

    incidental: code system version (9, 10) → incidental codes, undotted, the commonest first.
    fingerprint: SHA-256 of the files that it was read from.
    """

    age_bands: tuple[float, ...]
    population: Population
    visits: Visits
    coding: Coding
    conditions: tuple[Condition, ...]
    incidental: dict[int, tuple[str, ...]]
    fingerprint: str


def draw_log_normal(rng: np.random.Generator, median: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """One draw for each pair of parameters (both (N,))."""
    return median * np.exp(sigma * rng.standard_normal(len(median)))
