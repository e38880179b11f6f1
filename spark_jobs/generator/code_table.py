"""All codes of a model as numbers, and how one is drawn."""

from __future__ import annotations

import numpy as np

from spark_jobs.generator.model import DiseaseModel

VERSIONS = (9, 10)


class CodeTable:
    """Every code of both systems has one number, its place in `codes` (undotted).

    Systems are given as 0 (ICD-9-CM) and 1 (ICD-10-CM), which is their place in VERSIONS.
    """

    def __init__(self, model: DiseaseModel) -> None:
        codes: list[str] = []
        lists = [(c.icd9, c.icd10) for c in model.conditions]
        longest = max(len(of_system) for both in lists for of_system in both)
        # Above 1 beyond a list's end, so that no draw gets there.
        self._first = np.zeros((len(lists), 2), np.int64)
        self._cumulative = np.full((len(lists), 2, longest), 2.0)
        for condition, both in enumerate(lists):
            for system, of_system in enumerate(both):
                self._first[condition, system] = len(codes)
                codes += of_system
                weights = 1 / np.arange(1, len(of_system) + 1)
                self._cumulative[condition, system, : len(of_system) - 1] = np.cumsum(
                    weights / weights.sum()
                )[:-1]
        self.num_condition_codes = len(codes)
        zipf = model.coding.incidental_zipf
        self._incidental: list[tuple[int, np.ndarray]] = []
        for version in VERSIONS:
            weights = (np.arange(1, len(model.incidental[version]) + 1) + zipf.shift) ** -zipf.exponent
            self._incidental.append((len(codes), np.cumsum(weights / weights.sum())))
            codes += model.incidental[version]
        self.codes = tuple(codes)

    def of_conditions(self, condition: np.ndarray, system: np.ndarray, u: np.ndarray) -> np.ndarray:
        """(N,) a code of each condition in the system. u: uniform draws; alike u mean alike codes."""
        place = (self._cumulative[condition, system] <= u[:, None]).sum(axis=1)
        return self._first[condition, system] + place

    def second_of_conditions(
        self, first: np.ndarray, condition: np.ndarray, system: np.ndarray, u: np.ndarray
    ) -> np.ndarray:
        """(N,) another code than `first` of the same condition; `first` itself if there is no other."""
        # The interval of `first` is cut out of [0, 1), by starting behind it and going round.
        place = first - self._first[condition, system]
        cumulative = np.minimum(self._cumulative[condition, system], 1.0)
        rows = np.arange(len(place))
        end = cumulative[rows, place]
        width = end - np.where(place > 0, cumulative[rows, place - 1], 0.0)
        return self.of_conditions(condition, system, (end + u * (1 - width)) % 1.0)

    def incidental(self, system: np.ndarray, u: np.ndarray) -> np.ndarray:
        """(N,) an incidental code in each system, by uniform draws."""
        found = np.empty(len(u), np.int64)
        for number, (first, cumulative) in enumerate(self._incidental):
            mine = system == number
            place = np.searchsorted(cumulative, u[mine], side="right")
            found[mine] = first + np.minimum(place, len(cumulative) - 1)
        return found
