"""When something happens: hazards that depend on age and sex, and jump when an antecedent sets in.

The hazard is constant between two ages where something changes, so its integral is piecewise linear and can
be inverted exactly: no time steps, and no loop over patients.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_OLDEST = 130.0


class BaseRates:
    """A hazard by age band and sex, and its integral from birth."""

    def __init__(
        self, age_bands: tuple[float, ...], female: tuple[float, ...], male: tuple[float, ...]
    ) -> None:
        self._ages = np.array([*age_bands, _OLDEST])
        widths = np.diff(self._ages)
        self._integrals = [np.concatenate([[0.0], np.cumsum(np.array(r) * widths)]) for r in (female, male)]
        self._same = female == male
        self.is_zero = not any(female) and not any(male)

    def integral(self, ages: np.ndarray, female: np.ndarray) -> np.ndarray:
        """Expected events from birth to these ages. ages: (N,) or (M, N); female: (N,)."""
        return self._by_sex(lambda integral: np.interp(ages, self._ages, integral), female)

    def age_at(self, events: np.ndarray, female: np.ndarray) -> np.ndarray:
        """The ages at which so many events are expected; both (N,)."""
        return self._by_sex(lambda integral: np.interp(events, integral, self._ages), female)

    def _by_sex(self, value: Callable[[np.ndarray], np.ndarray], female: np.ndarray) -> np.ndarray:
        women = value(self._integrals[0])
        return women if self._same else np.where(female, women, value(self._integrals[1]))


class Hazard:
    """One condition's hazard for N patients between two ages, with multipliers that set in on the way.

    start, end: (N,) ages in years; a patient with start ≥ end has no hazard. changes: (K, N) ages at which
    the K multipliers set in, infinite for never.
    """

    def __init__(
        self,
        rates: BaseRates,
        female: np.ndarray,
        start: np.ndarray,
        end: np.ndarray,
        changes: np.ndarray,
        multipliers: np.ndarray,
    ) -> None:
        self._rates, self._female = rates, female
        end = np.maximum(start, end)
        order = np.argsort(changes, axis=0, kind="stable")
        sorted_changes = np.clip(np.take_along_axis(changes, order, axis=0), start, end)
        edges = np.vstack([start[None], sorted_changes, end[None]])  # (K + 2, N)
        ones = np.ones((1, len(start)))
        self._factors = np.vstack([ones, np.cumprod(multipliers[order], axis=0)])  # (K + 1, N)
        self._base = rates.integral(edges, female)
        self._upto = np.cumsum(np.diff(self._base, axis=0) * self._factors, axis=0)

    @property
    def total(self) -> np.ndarray:
        """(N,) expected events from start to end."""
        return self._upto[-1]

    def age_at(self, patients: np.ndarray, mass: np.ndarray) -> np.ndarray:
        """(M,) ages at which the integrated hazard of these patients reaches `mass` (below their total)."""
        upto = self._upto[:, patients]
        segment = np.minimum((upto <= mass).sum(axis=0), len(upto) - 1)
        before = np.where(segment > 0, upto[segment - 1, np.arange(len(patients))], 0.0)
        inside = (mass - before) / self._factors[segment, patients]
        return self._rates.age_at(self._base[segment, patients] + inside, self._female[patients])
