"""20,000 simulated patients, once for all tests that only look at them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from spark_jobs.generator.block import Block, Plan, simulate_block
from spark_jobs.generator.code_table import CodeTable
from spark_jobs.generator.model import DiseaseModel
from spark_jobs.generator.model_file import read_disease_model

NUM_PATIENTS = 20_000


@dataclass(frozen=True)
class Simulated:
    """All blocks as flat arrays: V claims, M diagnosis entries, N patients."""

    model: DiseaseModel
    table: CodeTable
    blocks: list[Block]
    claim_patient: np.ndarray  # (V,)
    admit_day: np.ndarray  # (V,)
    discharge_day: np.ndarray  # (V,)
    inpatient: np.ndarray  # (V,)
    system: np.ndarray  # (V,) 0 for ICD-9-CM, 1 for ICD-10-CM
    diagnoses: np.ndarray  # (V, 12)
    claim: np.ndarray  # (M,)
    patient: np.ndarray  # (M,)
    code: np.ndarray  # (M,)
    condition: np.ndarray  # (M,) place in model.conditions, -1 for an incidental code

    @property
    def number_of(self) -> dict[str, int]:
        """Condition key → its place in the model's conditions."""
        return {condition.key: number for number, condition in enumerate(self.model.conditions)}

    @property
    def los_days(self) -> np.ndarray:
        return self.discharge_day - self.admit_day

    def patients_with(self, key: str) -> np.ndarray:
        """(N,) whether a claim of the patient has a code of this condition."""
        has = np.zeros(NUM_PATIENTS, bool)
        has[self.patient[self.condition == self.number_of[key]]] = True
        return has


@pytest.fixture(scope="session")
def model() -> DiseaseModel:
    return read_disease_model()


@pytest.fixture(scope="session")
def simulated(model: DiseaseModel) -> Simulated:
    table = CodeTable(model)
    plan = Plan(NUM_PATIENTS, seed=0, first_year=2010, last_year=2021, patients_per_block=5_000)
    blocks = [simulate_block(model, table, plan, number) for number in range(plan.num_blocks)]
    claim_patient = np.concatenate([b.first_patient + b.visits.patient for b in blocks])
    diagnoses = np.concatenate([b.diagnoses for b in blocks])
    claim, _ = np.nonzero(diagnoses >= 0)
    code = diagnoses[diagnoses >= 0]
    sizes = [len(c.icd9) + len(c.icd10) for c in model.conditions]
    condition_of_code = np.full(len(table.codes), -1)
    condition_of_code[: sum(sizes)] = np.repeat(np.arange(len(sizes)), sizes)
    return Simulated(
        model=model,
        table=table,
        blocks=blocks,
        claim_patient=claim_patient,
        admit_day=np.concatenate([b.visits.admit_day for b in blocks]),
        discharge_day=np.concatenate([b.visits.discharge_day for b in blocks]),
        inpatient=np.concatenate([b.visits.inpatient for b in blocks]),
        system=np.concatenate([b.system for b in blocks]),
        diagnoses=diagnoses,
        claim=claim,
        patient=claim_patient[claim],
        code=code,
        condition=condition_of_code[code],
    )
