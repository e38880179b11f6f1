"""What rows of claims say where each says it by itself: as claim_lines and claims, on Arrow instead of Spark.

For column maps of ids, dates, a code system and diagnosis columns, and no more. Both ways make the same of
the same rows, byte for byte; this one needs no row to go through the JVM.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.diagnoses import ENCODING_UNREADABLE
from spark_jobs.sources.claim_lines import ADMIT_FALLBACK, DISCHARGE_FALLBACK, meanings
from spark_jobs.sources.claims_map import ClaimsMap, plain
from spark_jobs.transforms.codes import WHITE_SPACE, numbers_of
from spark_jobs.transforms.diagnoses import ADMIT, DISCHARGE, ORDERS, PATIENT, SET_ASIDE, SYSTEM, VISIT
from spark_jobs.transforms.encoding import has_replaced


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
        numbers = [of.system.column, *of.system_columns, of.diagnoses.order]
        return (
            not any(further)
            and _are(schema, [*ids, *of.diagnosis_columns], pa.types.is_string)
            and _are(schema, [*of.admit, *of.discharge], pa.types.is_date32)
            and _are(schema, numbers, lambda kind: pa.types.is_string(kind) or pa.types.is_integer(kind))
        )

    def patients_and_visits(self, rows: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
        """((N,) ids, "" for none; (N,) the visit's, else the claim's, null for none)."""
        visit = self.claims_map.visit or self.claims_map.claim
        visits = _trimmed(rows[plain(visit)]) if visit else pa.nulls(rows.num_rows, pa.string())
        visits = pc.if_else(pc.equal(visits, ""), pa.scalar(None, pa.string()), visits)
        return _trimmed(rows[plain(self.claims_map.patient)]).fill_null(""), visits

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
        unreadable = has_replaced([rows[name] for name in of.columns if pa.types.is_string(rows[name].type)])
        if unreadable is not None:
            added[SET_ASIDE] = pc.if_else(unreadable, ENCODING_UNREADABLE, pa.scalar(None, pa.string()))
        if of.diagnoses.order:
            added[ORDERS[0]] = rows[plain(of.diagnoses.order)]
        for name, column in added.items():
            rows = rows.append_column(name, column)
        return rows

    def _systems(self, rows: pa.RecordBatch) -> pa.Array:
        """(N,) code systems, or lists of one for each diagnosis column."""
        system, columns = self.claims_map.system, self.claims_map.system_columns
        if system.constant:
            return pa.repeat(pa.scalar(system.constant), rows.num_rows)
        if not columns:
            return self._meant(rows[plain(system.column or "")])
        of_columns = pa.concat_arrays([self._meant(rows[name]) for name in columns])
        by_row = np.arange(len(of_columns)).reshape(len(columns), -1).T.ravel()
        starts = np.arange(rows.num_rows + 1, dtype=np.int32) * len(columns)
        return pa.ListArray.from_arrays(pa.array(starts, pa.int32()), of_columns.take(pa.array(by_row)))

    def _meant(self, column: pa.Array) -> pa.Array:
        meant = meanings(self.claims_map)
        found = column.cast(pa.string()).dictionary_encode()
        # The last is for null, whose number is -1.
        texts = [*found.dictionary.to_pylist(), ""]
        names = pa.array([meant.get(text.strip().lower()) for text in texts], pa.string())
        return names.take(pa.array(numbers_of(found) % len(names)))


def _trimmed(column: pa.Array) -> pa.Array:
    return pc.utf8_trim(column, characters=WHITE_SPACE)


def _are(schema: pa.Schema, names: Iterable[str | None], fits) -> bool:
    return all(fits(schema.field(plain(name)).type) for name in names if name)
