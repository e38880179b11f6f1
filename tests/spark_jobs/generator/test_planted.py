"""What disease_model.yaml says is planted can be found in the claims, and its averages are those of docs/."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from schemas.sequences import PROLONGED_LOS_DAYS


def test_averages(simulated):
    num_patients = sum(len(block.patients) for block in simulated.blocks)
    visits = np.bincount(simulated.claim_patient, minlength=num_patients)
    codes = np.bincount(simulated.patient, minlength=num_patients)
    assert 7 <= visits.mean() <= 9
    assert 15 <= codes.mean() <= 30
    assert 1 <= (visits > 100).sum() <= 60 and visits.max() <= 500
    assert 1 <= (codes > 512).sum() <= 60
    assert (visits == 0).mean() < 0.1
    assert 0.2 < (simulated.condition < 0).mean() < 1 / 3, (
        "incidental codes are noise, and no more than a third"
    )
    assert 0.35 < simulated.system.mean() < 0.65, "both systems weigh alike"


def test_the_tail_is_long_enough_for_a_vocabulary_of_5000_in_the_training_split(simulated):
    train = np.random.default_rng(0).random(len(np.unique(simulated.patient)) + simulated.patient.max()) < 0.7
    seen = train[simulated.patient]
    pairs = np.unique(simulated.patient[seen] * len(simulated.table.codes) + simulated.code[seen])
    patients = np.bincount(pairs % len(simulated.table.codes))
    assert (patients >= 11).sum() > 5_000


def odds_ratio(simulated, cause: str, effect: str) -> float:
    """Mantel-Haenszel odds ratio of having both, in strata of ten years of age: age alone makes no odds."""
    exposed, ill = simulated.patients_with(cause), simulated.patients_with(effect)
    born = np.concatenate([block.patients.birth_year for block in simulated.blocks])
    top = bottom = 0.0
    for decade in np.unique(born // 10):
        here = born // 10 == decade
        both, neither = (exposed & ill)[here].sum(), (~exposed & ~ill)[here].sum()
        top += both * neither / here.sum()
        bottom += (exposed & ~ill)[here].sum() * (~exposed & ill)[here].sum() / here.sum()
    return top / max(bottom, 0.5)


@pytest.mark.parametrize(
    ("cause", "effect", "at_least"),
    [
        ("type_2_diabetes", "chronic_kidney_disease", 2),
        ("type_2_diabetes", "heart_failure", 1.5),
        ("hypertension", "chronic_kidney_disease", 1.5),
        ("hypertension", "stroke", 1.3),
        ("obesity", "sleep_apnea", 2),
        ("obesity", "type_2_diabetes", 1.8),
        ("atrial_fibrillation", "stroke", 1.5),
        ("coronary_artery_disease", "myocardial_infarction", 3),
        ("tobacco_use", "copd", 2),
        ("tobacco_use", "lung_cancer", 2),
        ("alcohol_use_disorder", "cirrhosis", 3),
        ("gallstones", "acute_pancreatitis", 1.8),
        ("weight_loss", "pancreatic_cancer", 3),
        ("chronic_kidney_disease", "anemia_of_chronic_disease", 4),
        ("chronic_kidney_disease", "end_stage_renal_disease", 4),
        ("pregnancy", "delivery", 50),
    ],
)
def test_comorbidity_is_in_the_claims(simulated, cause, effect, at_least):
    assert odds_ratio(simulated, cause, effect) > at_least


def test_what_is_not_linked_is_not_comorbid(simulated):
    for pair in (("psoriasis", "glaucoma"), ("sprain", "gout"), ("hernia", "otitis_media")):
        # People who are observed for longer, or seek care more readily, have more of everything.
        assert odds_ratio(simulated, *pair) < 2.2


def test_length_of_stay_depends_on_the_condition(simulated):
    reason = np.concatenate(
        [
            np.append(block.courses.condition, -1)[block.visits.episode[: len(block.visits)]]
            for block in simulated.blocks
        ]
    )
    number_of = simulated.number_of

    def prolonged(*keys):
        stays = simulated.inpatient & np.isin(reason, [number_of[key] for key in keys])
        assert stays.sum() >= 100
        return (simulated.los_days[stays] > PROLONGED_LOS_DAYS).mean()

    assert prolonged("sepsis", "stroke", "hip_fracture", "leukemia") > 0.5
    assert prolonged("delivery", "appendicitis", "chest_pain", "asthma") < 0.05
    assert 0.05 < len(np.unique(simulated.claim_patient[simulated.los_days > 7])) / 20_000 < 0.15
    assert (simulated.los_days[simulated.inpatient] >= 1).mean() > 0.99
    assert not simulated.los_days[~simulated.inpatient].any()


def top_10_accuracy(patient, claim, code, num_codes) -> dict[str, float]:
    """Hide one code of each test patient; how often is it among ten guesses?

    common: the ten most frequent codes. history: the ten most frequent of the patient's other claims.
    fellows: the ten that go most with the patient's other codes, above all those beside it, by pairs among
    training patients.
    """
    rng = np.random.default_rng(0)
    train = patient % 10 < 7
    num_patients = patient.max() + 1
    shape = (num_patients, num_codes)
    has = sparse.csr_matrix((np.ones(train.sum()), (patient[train], code[train])), shape=shape)
    has.data[:] = 1
    together = np.asarray((has.T @ has).todense())
    share = together / np.maximum(together.diagonal(), 5)[:, None]  # (code, other): P(other | code)
    common = np.argsort(-np.bincount(code[train], minlength=num_codes))[:10]
    order = np.flatnonzero(~train)
    order = order[np.argsort(patient[order], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(patient[order])) + 1)
    hits = {"common": 0, "history": 0, "fellows": 0}
    tried = [group for group in groups if len(group) >= 4]
    for group in tried:
        hidden = rng.choice(group)
        others = group[group != hidden]
        target = code[hidden]
        elsewhere = np.bincount(code[others[claim[others] != claim[hidden]]], minlength=num_codes)
        beside = others[claim[others] == claim[hidden]]
        scores = share[code[others]].sum(0) + 5 * share[code[beside]].sum(0)
        hits["common"] += target in common
        hits["history"] += target in np.argsort(-elsewhere, kind="stable")[:10] and elsewhere[target] > 0
        hits["fellows"] += target in np.argpartition(-scores, 10)[:10]
    return {name: count / len(tried) for name, count in hits.items()}


def few_patients_frequent_codes(simulated):
    """Codes that at least 11 of the first 5,000 patients have, renumbered."""
    some = simulated.patient < 5_000
    patient, claim, code = simulated.patient[some], simulated.claim[some], simulated.code[some]
    pairs = np.unique(patient * len(simulated.table.codes) + code)
    patients = np.bincount(pairs % len(simulated.table.codes), minlength=len(simulated.table.codes))
    kept = patients[code] >= 11
    _, numbers = np.unique(code[kept], return_inverse=True)
    return patient[kept], claim[kept], numbers, numbers.max() + 1


def test_a_hidden_code_can_be_told_from_its_fellows(simulated):
    patient, claim, code, num_codes = few_patients_frequent_codes(simulated)
    accuracy = top_10_accuracy(patient, claim, code, num_codes)
    assert accuracy["fellows"] > 1.5 * accuracy["history"]
    assert accuracy["fellows"] > 4 * accuracy["common"]


def test_and_cannot_when_codes_are_shuffled_among_patients(simulated):
    patient, claim, code, num_codes = few_patients_frequent_codes(simulated)
    shuffled = np.random.default_rng(1).permutation(code)
    accuracy = top_10_accuracy(patient, claim, shuffled, num_codes)
    assert accuracy["fellows"] < 1.3 * accuracy["common"]
