"""One block of patients, simulated on its own: a pure function of (model, seed, block)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spark_jobs.generator.code_table import CodeTable
from spark_jobs.generator.coding import draw_diagnoses, icd_system
from spark_jobs.generator.courses import Episodes, draw_courses
from spark_jobs.generator.model import DiseaseModel
from spark_jobs.generator.population import Patients, days_of_years, draw_patients
from spark_jobs.generator.visits import Visits, draw_visits

# Independent streams of random numbers of one block.
_PATIENTS, _COURSES, _VISITS, _CODES = range(4)


@dataclass(frozen=True)
class Plan:
    """What decides every value that is generated, apart from the model.

    A whole block is always simulated, and cut to the patients asked for: so the first patients of a larger
    data set are those of a smaller one.
    """

    num_patients: int
    seed: int
    first_year: int
    last_year: int
    patients_per_block: int

    @property
    def num_blocks(self) -> int:
        return -(-self.num_patients // self.patients_per_block)

    def patients_in(self, block: int) -> int:
        return min(self.patients_per_block, self.num_patients - block * self.patients_per_block)


@dataclass(frozen=True)
class Block:
    """Simulated patients and what happened to them.

    diagnoses: (V, MAX_DIAGNOSES) numbers of codes in CodeTable.codes, -1 after a claim's last. system: (V,) 0
    for ICD-9-CM, 1 for ICD-10-CM. courses: the truth behind the claims, never written; tests look there.
    """

    first_patient: int
    patients: Patients
    courses: Episodes
    visits: Visits
    system: np.ndarray
    diagnoses: np.ndarray


def simulate_patients(model: DiseaseModel, plan: Plan, block: int) -> Patients:
    """Only who the block's patients are: the same as in `simulate_block`, much faster."""
    return _draw_block(model, plan, block).first(plan.patients_in(block))


def simulate_block(model: DiseaseModel, table: CodeTable, plan: Plan, block: int) -> Block:
    """Simulate block number `block`. Draws nothing from any global state."""
    patients = _draw_block(model, plan, block)
    courses = draw_courses(model, _stream(plan, block, _COURSES), patients)
    visits = draw_visits(model, _stream(plan, block, _VISITS), patients, courses)
    diagnoses = draw_diagnoses(model, table, _stream(plan, block, _CODES), visits, courses)
    kept = np.searchsorted(visits.patient, plan.patients_in(block))
    cut = Visits(*(values[:kept] for values in vars(visits).values()))
    return Block(
        first_patient=block * plan.patients_per_block,
        patients=patients.first(plan.patients_in(block)),
        courses=courses,
        visits=cut,
        system=icd_system(cut.discharge_day),
        diagnoses=diagnoses[:kept],
    )


def _draw_block(model: DiseaseModel, plan: Plan, block: int) -> Patients:
    days = days_of_years(plan.first_year, plan.last_year)
    return draw_patients(model, _stream(plan, block, _PATIENTS), plan.patients_per_block, *days)


def _stream(plan: Plan, block: int, stream: int) -> np.random.Generator:
    """Counter-based random numbers: keyed by seed and block, the streams 2^192 draws apart."""
    return np.random.Generator(np.random.Philox(key=[plan.seed, block], counter=[0, 0, 0, stream]))
