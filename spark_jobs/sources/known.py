"""The raw formats by name.

Only the driver asks for one: a worker loads what a source has handed it, and no other source.
"""

from __future__ import annotations

from collections.abc import Callable

from schemas.errors import ContractError
from spark_jobs.sources import claims, medbert, meds, omop
from spark_jobs.sources.raw import RawDiagnoses

SOURCES: dict[str, Callable[..., RawDiagnoses]] = {
    "medbert": medbert.read,
    "omop": omop.read,
    "claims": claims.read,
    "meds": meds.read,
}


def find_source(name: str) -> Callable[..., RawDiagnoses]:
    """The reader of one format. Raises ContractError for an unknown name."""
    if name not in SOURCES:
        raise ContractError(
            f"the source is {name}",
            f"known sources are {', '.join(SOURCES)}",
            "choose one of them with --source",
        )
    return SOURCES[name]
