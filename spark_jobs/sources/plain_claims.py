"""What rows of claims say where each says it by itself: as claim_lines and claims, on Arrow instead of Spark.

For column maps of ids, dates, a code system and diagnosis columns, and no more. Both ways make the same of
the same rows, byte for byte; this one needs no row to go through the JVM.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.codes import system_named
from spark_jobs.sources.claim_lines import ADMIT_FALLBACK, DISCHARGE_FALLBACK
from spark_jobs.sources.claims_map import ClaimsMap, System, plain
from spark_jobs.transforms.codes import numbers_of, present
from spark_jobs.transforms.diagnoses import ADMIT, DISCHARGE, ORDERS, PATIENT, SYSTEM, VISIT


class PlainClaims:
    """Adds to a claim's own columns those of transforms.diagnoses."""

    def __init__(self, claims_map: ClaimsMap) -> None:
        self.claims_map = claims_map

    @property
    def flags(self) -> tuple[str, ...]:
        """What is counted: another than the first column of the map's list gave the date."""
        of = {ADMIT_FALLBACK: self.claims_map.admit, DISCHARGE_FALLBACK: self.claims_map.discharge}
        return tuple(flag for flag, columns in of.items() if len(columns) > 1)

    def fits(self, schema: pa.Schema) -> bool:
        """Whether the map has no further rules, and the columns' types need no reading of theirs."""
        of = self.claims_map
        further = (
            *(of.header, of.dates, of.date_format, of.status, of.inpatient, of.birth),
            *(of.missing, of.repairs, of.drop_duplicate_lines, of.diagnoses.repeat_on_lines),
        )
        ids = [of.patient, of.claim, of.visit]
        numbers = [*(name for _, name in of.systems), of.diagnoses.order]
        return (
            not any(further)
            and _are(schema, [*ids, *of.code_columns], pa.types.is_string)
            and _are(schema, [*of.admit, *of.discharge], pa.types.is_date32)
            and _are(schema, numbers, lambda kind: pa.types.is_string(kind) or pa.types.is_integer(kind))
        )

    def patients_and_visits(self, rows: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
        """((N,) ids, "" for none; (N,) the visit's, else the claim's, null for none)."""
        visit = self.claims_map.visit or self.claims_map.claim
        visits = present(rows[plain(visit)]) if visit else pa.nulls(rows.num_rows, pa.string())
        return present(rows[plain(self.claims_map.patient)]).fill_null(""), visits

    def said(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        of = self.claims_map
        patients, visits = self.patients_and_visits(rows)
        added = {PATIENT: patients, VISIT: visits, SYSTEM: self._systems(rows)}
        for side, flag, names in (
            (ADMIT, ADMIT_FALLBACK, of.admit),
            (DISCHARGE, DISCHARGE_FALLBACK, of.discharge),
        ):
            dates = [rows[plain(name)] for name in names]
            added[side] = pc.coalesce(*dates)
            if flag in self.flags:
                added[flag] = pc.and_(pc.is_null(dates[0]), pc.is_valid(added[side]))
        if of.diagnoses.order:
            added[ORDERS[0]] = rows[plain(of.diagnoses.order)]
        for name, column in added.items():
            rows = rows.append_column(name, column)
        return rows

    def _systems(self, rows: pa.RecordBatch) -> pa.Array:
        """(N,) code systems, or lists of one for each code column."""
        systems = [_meant(rows, *of) for of in self.claims_map.systems]
        if len(systems) == 1:
            return systems[0]
        by_row = np.arange(len(systems) * rows.num_rows).reshape(len(systems), -1).T.ravel()
        starts = np.arange(rows.num_rows + 1, dtype=np.int32) * len(systems)
        return pa.ListArray.from_arrays(pa.array(starts), pa.concat_arrays(systems).take(pa.array(by_row)))


def _meant(rows: pa.RecordBatch, system: System, name: str) -> pa.Array:
    """(N,) systems, by what the values of the column mean."""
    if system.constant:
        return pa.repeat(pa.scalar(system_named(system.constant)), rows.num_rows)
    found = rows[name].cast(pa.string()).dictionary_encode()
    # Index -1 (null) selects the last.
    names = [system.meaning(value) for value in (*found.dictionary.to_pylist(), None)]
    return pa.array(names, pa.string()).take(pa.array(numbers_of(found) % len(names)))


def _are(schema: pa.Schema, names: Iterable[str | None], fits) -> bool:
    return all(fits(schema.field(plain(name)).type) for name in names if name)
