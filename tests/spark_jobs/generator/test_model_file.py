"""A disease model that is not whole is refused, and the message says where and why."""

from __future__ import annotations

import copy

import pytest
import yaml

from schemas.errors import ContractError
from spark_jobs.generator.model_file import parse_disease_model, read_disease_model

INCIDENTAL = "icd_version,code\n9,0010\n10,A000\n9,25010\n10,E100\n"

SMALL = {
    "age_bands": [0, 40],
    "population": {
        "female": 0.5,
        "age_at_entry": [1, 1],
        "oldest_entry_age": 90,
        "observation_years": [4, 9],
    },
    "visits": {
        "utilisation_spread": 0.5,
        "incidental_per_year": 0.5,
        "incidental_admission": 0.01,
        "incidental_stay_days": [2, 5],
        "longest_stay_days": 90,
        "most_visits": 300,
    },
    "coding": {
        "usual_code": 0.5,
        "second_code": 0.5,
        "inpatient_attention": 2,
        "incidental_per_claim": 1,
        "incidental_zipf": {"exponent": 1, "shift": 10},
    },
    "conditions": {
        "nephropathy": {
            "name": "Kidney disease of diabetics",
            "kind": "chronic",
            "icd9": ["250.40", "583.81"],
            "icd10": ["E11.22", "E11.21"],
            "incidence": [1, 20],
            "only_with": ["diabetes"],
            "risks": [{"condition": "diabetes", "multiplier": 2, "after_years": 5}],
            "coded": 0.3,
            "visits_per_year": 1,
            "admission": 0.1,
            "stay_days": [4, 9],
        },
        "diabetes": {
            "name": "Diabetes",
            "kind": "chronic",
            "icd9": ["250.00"],
            "icd10": ["E11.9"],
            "incidence": {"female": [1, 5], "male": [2, 7]},
            "coded": 0.3,
            "active_years": [3, 9],
            "visits_per_year": 1,
            "admission": 0.1,
            "stay_days": [4, 9],
        },
        "infection": {
            "name": "Infection",
            "kind": "acute",
            "icd9": ["486"],
            "icd10": ["J18.9"],
            "follows": [
                {"condition": "diabetes", "probability": 0.5, "delay_days": [0, 9], "own_visit": False}
            ],
            "coded": 0.3,
            "visits": 1.5,
            "duration_days": [9, 20],
            "admission": 0.1,
            "stay_days": [4, 9],
        },
    },
}


def parse(plain):
    return parse_disease_model(yaml.safe_dump(plain, sort_keys=False), INCIDENTAL, "small.yaml")


def test_a_whole_model_is_read():
    model = parse(SMALL)
    assert [c.key for c in model.conditions] == ["diabetes", "nephropathy", "infection"]  # causes first
    diabetes, nephropathy, infection = model.conditions
    assert diabetes.incidence_male == (0.002, 0.007)
    assert diabetes.icd9 == ("25000",)
    assert diabetes.lasts_days.median == pytest.approx(3 * 365.25)
    assert nephropathy.lasts_days is None and infection.lasts_days.median == 9
    assert nephropathy.risks[0].after_years == 5 and not infection.follows[0].own_visit
    # Of the incidental codes, those of a condition's three-character category are left out.
    assert model.incidental == {9: ("0010",), 10: ("A000", "E100")}


# What is broken (path to a field, its new value), and words of the message.
BROKEN = [
    ("conditions.nephropathy.only_with", ["diabetse"], "links to diabetse, which is not a condition"),
    ("conditions.nephropathy.risks.0.condition", "nobody", "links to nobody, which is not a condition"),
    ("conditions.nephropathy.risks.0.multiplier", 0, "risks[0].multiplier is 0"),
    ("conditions.nephropathy.icd9", [], "conditions.nephropathy.icd9 lists no code"),
    ("conditions.nephropathy.icd9", [250.40], "put it in quotes"),
    ("conditions.nephropathy.icd9", ["25O.40"], "'25O.40'"),
    ("conditions.nephropathy.icd10", ["E11.22", "E1122"], "lists a code twice"),
    ("conditions.nephropathy.icd10", ["E11.9"], "lists the code E119, as"),
    ("conditions.nephropathy.admission", 1.1, "admission is 1.1. Rule: it is a probability"),
    ("conditions.infection.follows.0.probability", -0.1, "follows[0].probability is -0.1"),
    ("conditions.infection.follows.0.delay_days", [9, 1], "it is [least, most]"),
    ("conditions.infection.follows", None, "follows is None"),
    ("conditions.infection.follows", [], "nothing is followed by it"),
    ("conditions.infection.stay_days", [9, 4], "it is [median, 90th percentile]"),
    ("conditions.infection.visits", 0.5, "it is at least 1"),
    ("conditions.infection.kind", "rare", "it is chronic or acute"),
    ("conditions.infection.active_years", [1, 2], "conditions.infection.active_years is not known here"),
    ("conditions.diabetes.incidence", [1, 2, 3], "has 3 numbers. Rule: it has 2"),
    ("conditions.diabetes.incidence", {"female": [1, 2]}, "incidence.male is missing"),
    ("conditions.diabetes.incidence", [1, "many"], "is 'many'"),
    ("conditions.diabetes.name", 3, "name is 3"),
    (
        "conditions.diabetes.only_with",
        ["nephropathy"],
        "go round in a circle: nephropathy → diabetes → nephropathy",
    ),
    ("conditions", {}, "has no condition"),
    ("conditions.diabetes", "flu", "conditions.diabetes is not a mapping"),
    ("age_bands", [0, 40, 20], "it starts at 0 and rises"),
    ("population.age_at_entry", [0, 0], "is nought everywhere"),
    ("coding.usual_cod", 0.2, "coding.usual_cod is not known here"),
    ("colour", "red", "colour is not known here"),
]


@pytest.mark.parametrize(("path", "value", "message"), BROKEN, ids=[f"{p}={v!r}" for p, v, _ in BROKEN])
def test_a_broken_model_is_refused(path, value, message):
    plain = copy.deepcopy(SMALL)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = plain
    for part in parents:
        place = place[part]
    place[last] = value
    with pytest.raises(ContractError) as error:
        parse(plain)
    assert message in str(error.value)
    assert "small.yaml" in str(error.value)


def test_a_missing_field_and_a_file_that_is_not_yaml_are_refused():
    plain = copy.deepcopy(SMALL)
    del plain["conditions"]["diabetes"]["coded"]
    with pytest.raises(ContractError, match=r"conditions\.diabetes\.coded is missing"):
        parse(plain)
    with pytest.raises(ContractError, match="cannot be read as YAML"):
        parse_disease_model("conditions: [", INCIDENTAL, "small.yaml")


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    said = {"none.yaml": "does not exist", "binary.yaml": "line 1 is not text in UTF-8", "": "is a folder"}
    for name, found in said.items():
        with pytest.raises(ContractError, match=f"{name} {found}.*--disease_model"):
            read_disease_model(str(tmp_path / name))
