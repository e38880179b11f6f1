"""Read a disease model from its YAML file, and refuse one that is not whole."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from importlib import resources
from typing import Any

from schemas.files import read_text
from schemas.yaml_text import MOST_YAML_BYTES, parse_yaml
from spark_jobs.generator.fields import Fields
from spark_jobs.generator.model import (
    DAYS_PER_YEAR,
    Coding,
    Condition,
    DiseaseModel,
    Follows,
    IncidentalZipf,
    Population,
    Risk,
    Spread,
    Visits,
)

MODEL_FILE = "disease_model.yaml"
INCIDENTAL_FILE = "incidental_codes.csv"


def read_disease_model(uri: str | None = None) -> DiseaseModel:
    """Read a model from a local path or URI; without one, the model that comes with the project.

    Raises ContractError, naming the condition and the field.
    """
    packaged = resources.files("spark_jobs.generator")
    if uri:
        text = read_text(
            uri, "a disease model is a YAML file in UTF-8", "check --disease_model", MOST_YAML_BYTES
        )
    else:
        text = packaged.joinpath(MODEL_FILE).read_text(encoding="utf-8")
    incidental = packaged.joinpath(INCIDENTAL_FILE).read_text(encoding="utf-8")
    return parse_disease_model(text, incidental, uri or MODEL_FILE)


def parse_disease_model(text: str, incidental_csv: str, where: str) -> DiseaseModel:
    """Parse and check a model; `where` is its file, for messages. Raises ContractError."""
    root = Fields(parse_yaml(text, where, "a disease model is a YAML file", "fix the file"), where)
    bands = root.numbers("age_bands", rising=True)
    conditions = root.section("conditions")
    parsed = [_condition(key, conditions.section(key), len(bands)) for key in conditions.names]
    root.require(bool(parsed), "conditions", "has no condition", "a model has conditions")
    incidental = _incidental(incidental_csv, parsed)
    model = DiseaseModel(
        age_bands=bands,
        population=_population(root.section("population"), len(bands)),
        visits=_visits(root.section("visits")),
        coding=_coding(root.section("coding")),
        conditions=_in_causal_order(parsed, root),
        incidental=incidental,
        fingerprint=hashlib.sha256(f"{text}\0{incidental_csv}".encode()).hexdigest(),
    )
    root.refuse_unknown()
    return model


def _population(fields: Fields, num_bands: int) -> Population:
    population = Population(
        female=fields.probability("female"),
        age_at_entry=fields.numbers("age_at_entry", length=num_bands, at_least=0),
        oldest_entry_age=fields.number("oldest_entry_age", at_least=1),
        observation_years=fields.spread("observation_years"),
    )
    fields.require(
        sum(population.age_at_entry) > 0, "age_at_entry", "is nought everywhere", "somebody enters"
    )
    fields.refuse_unknown()
    return population


def _visits(fields: Fields) -> Visits:
    visits = Visits(
        utilisation_spread=fields.number("utilisation_spread", at_least=0),
        incidental_per_year=fields.number("incidental_per_year", at_least=0),
        incidental_admission=fields.probability("incidental_admission"),
        incidental_stay_days=fields.spread("incidental_stay_days"),
        longest_stay_days=int(fields.number("longest_stay_days", at_least=1)),
        most_visits=int(fields.number("most_visits", at_least=1)),
    )
    fields.refuse_unknown()
    return visits


def _coding(fields: Fields) -> Coding:
    zipf = fields.section("incidental_zipf")
    coding = Coding(
        usual_code=fields.probability("usual_code"),
        second_code=fields.probability("second_code"),
        inpatient_attention=fields.number("inpatient_attention", at_least=1),
        incidental_per_claim=fields.number("incidental_per_claim", at_least=0),
        incidental_zipf=IncidentalZipf(zipf.number("exponent", at_least=0), zipf.number("shift", at_least=0)),
    )
    zipf.refuse_unknown()
    fields.refuse_unknown()
    return coding


def _condition(key: str, fields: Fields, num_bands: int) -> Condition:
    kind = fields.choice("kind", ("chronic", "acute"))
    chronic = kind == "chronic"
    female, male = _incidence(fields, num_bands)
    condition = Condition(
        key=key,
        name=fields.text("name"),
        chronic=chronic,
        icd9=fields.codes("icd9", "ICD9CM"),
        icd10=fields.codes("icd10", "ICD10CM"),
        incidence_female=female,
        incidence_male=male,
        risks=tuple(_risk(entry) for entry in fields.sections("risks")),
        only_with=fields.texts("only_with"),
        follows=tuple(_follows(entry) for entry in fields.sections("follows")),
        coded=fields.probability("coded"),
        admission=fields.probability("admission"),
        stay_days=fields.spread("stay_days"),
        visits_per_year=fields.number("visits_per_year", at_least=0) if chronic else 0.0,
        visits=0.0 if chronic else fields.number("visits", at_least=1),
        lasts_days=_active_days(fields) if chronic else fields.spread("duration_days"),
    )
    fields.require(
        bool(condition.follows) or any(female) or any(male),
        "incidence",
        "is missing or nought everywhere, and nothing is followed by it",
        "a condition comes with an incidence or after another (follows)",
    )
    fields.refuse_unknown()
    return condition


def _incidence(fields: Fields, num_bands: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(female, male) episodes a person-year by age band; the file states them per 1,000."""
    if not fields.has("incidence"):
        return (0.0,) * num_bands, (0.0,) * num_bands
    if fields.is_section("incidence"):
        by_sex = fields.section("incidence")
        rates = tuple(by_sex.numbers(sex, length=num_bands, at_least=0) for sex in ("female", "male"))
        by_sex.refuse_unknown()
    else:
        rates = (fields.numbers("incidence", length=num_bands, at_least=0),) * 2
    female, male = (tuple(rate / 1000 for rate in by_band) for by_band in rates)
    return female, male


def _active_days(fields: Fields) -> Spread | None:
    if not fields.has("active_years"):
        return None
    years = fields.spread("active_years")
    return Spread(years.median * DAYS_PER_YEAR, years.p90 * DAYS_PER_YEAR)


def _risk(fields: Fields) -> Risk:
    risk = Risk(fields.text("condition"), fields.number("multiplier", above=0), fields.number("after_years"))
    fields.refuse_unknown()
    return risk


def _follows(fields: Fields) -> Follows:
    least, most = fields.numbers("delay_days", length=2, at_least=0)
    fields.require(least <= most, "delay_days", f"is [{least:g}, {most:g}]", "it is [least, most]")
    follows = Follows(
        fields.text("condition"),
        fields.probability("probability"),
        (least, most),
        fields.boolean("own_visit", default=True),
    )
    fields.refuse_unknown()
    return follows


def _in_causal_order(conditions: list[Condition], root: Fields) -> tuple[Condition, ...]:
    """Antecedents first, otherwise as in the file. Checks the links and that a code has one condition."""
    by_key = {condition.key: condition for condition in conditions}
    owner: dict[str, str] = {}
    for condition in conditions:
        for antecedent in sorted(condition.antecedents):
            root.require(
                antecedent in by_key,
                f"conditions.{condition.key}",
                f"links to {antecedent}, which is not a condition",
                "a link names a condition of the file",
            )
        for version, codes in ((9, condition.icd9), (10, condition.icd10)):
            for code in codes:
                other = owner.setdefault(f"{version}:{code}", condition.key)
                root.require(
                    other == condition.key,
                    f"conditions.{condition.key}.icd{version}",
                    f"lists the code {code}, as {other} does",
                    "a code belongs to one condition",
                )
    try:
        order = list(TopologicalSorter({c.key: sorted(c.antecedents) for c in conditions}).static_order())
    except CycleError as error:
        raise root.error(
            "conditions",
            f"go round in a circle: {' → '.join(error.args[1])}",
            "links lead from cause to consequence, never back",
        ) from error
    return tuple(by_key[key] for key in order)


def _incidental(incidental_csv: str, conditions: list[Condition]) -> dict[int, tuple[str, ...]]:
    """Version → codes in the file's order, without the three-character categories that a condition uses."""
    taken: Mapping[int, set[str]] = {
        9: {code[:3] for condition in conditions for code in condition.icd9},
        10: {code[:3] for condition in conditions for code in condition.icd10},
    }
    rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(incidental_csv)))
    return {
        version: tuple(
            row["code"]
            for row in rows
            if row["icd_version"] == str(version) and row["code"][:3] not in taken[version]
        )
        for version in (9, 10)
    }
