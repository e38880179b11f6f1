"""What rows of claims say where each says it by itself: as claim_lines and claims, on Arrow instead of Spark.

For column maps of ids, dates, a code system and diagnosis columns, and no more. Both ways make the same of
the same rows, byte for byte; this one needs no row to go through the JVM.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.codes import system_named
from schemas.diagnoses import ENCODING_UNREADABLE
from spark_jobs.sources.claim_lines import ADMIT_FALLBACK, DISCHARGE_FALLBACK
from spark_jobs.sources.claims_map import ClaimsMap, System, plain
from spark_jobs.transforms.codes import numbers_of, present
from spark_jobs.transforms.diagnoses import ADMIT, DISCHARGE, ORDERS, PATIENT, SET_ASIDE, SYSTEM, VISIT
from spark_jobs.transforms.encoding import has_replaced
from spark_jobs.transforms.ids import named_visits, plain_ids

# Of a column of ids: they, and which of them are unreadable (plain_ids).
Ids = tuple[pa.Array, npt.NDArray[np.bool_] | None]


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
        numbers = [*of.system_columns, of.diagnoses.order]
        return (
            not any(further)
            and _are(schema, [*ids, *of.code_columns], pa.types.is_string)
            and _are(schema, [*of.admit, *of.discharge], pa.types.is_date32)
            and _are(schema, numbers, lambda kind: pa.types.is_string(kind) or pa.types.is_integer(kind))
        )

    @property
    def id_columns(self) -> list[str]:
        of = self.claims_map
        return list(dict.fromkeys(plain(name) for name in (of.patient, of.visit or of.claim) if name))

    def patients_and_visits(self, rows: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
        """((N,) ids, "" for none; (N,) the visit's, else the claim's, null for none)."""
        of = self.claims_map
        return self._patients_and_visits(rows, _ids(rows, of.patient, of.visit or of.claim))

    def _patients_and_visits(self, rows: pa.RecordBatch, ids: Mapping[str, Ids]) -> tuple[pa.Array, pa.Array]:
        visit = self.claims_map.visit or self.claims_map.claim
        visits = ids[visit][0] if visit else pa.nulls(rows.num_rows, pa.string())
        return ids[self.claims_map.patient][0].fill_null(""), named_visits(visits)

    def said(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        of = self.claims_map
        ids = _ids(rows, of.patient, of.claim, of.visit)
        patients, visits = self._patients_and_visits(rows, ids)
        added = {PATIENT: patients, VISIT: visits, SYSTEM: self._systems(rows)}
        set_aside = self._set_aside(rows, ids)
        if set_aside is not None:
            added[SET_ASIDE] = set_aside
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

    def _set_aside(self, rows: pa.RecordBatch, ids: Mapping[str, Ids]) -> pa.Array | None:
        """(N,) SET_ASIDE; None where no row is."""
        texts = [rows[name] for name in self.claims_map.columns if pa.types.is_string(rows[name].type)]
        replaced = has_replaced(texts)
        marks = {name: unreadable for name, (_, unreadable) in ids.items() if unreadable is not None}
        if replaced is None and not marks:
            return None
        reasons = np.full(rows.num_rows, None, object)
        # The last one wins: the patient before visits, the encoding before ids.
        for name, unreadable in reversed(marks.items()):
            is_patient = name == self.claims_map.patient
            reasons[unreadable] = "patient_unreadable" if is_patient else "visit_unreadable"
        if replaced is not None:
            reasons[replaced.to_numpy(zero_copy_only=False)] = ENCODING_UNREADABLE
        return pa.array(reasons, pa.string())

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


def _ids(rows: pa.RecordBatch, *names: str | None) -> dict[str, Ids]:
    return {name: plain_ids(present(rows[plain(name)])) for name in names if name}


def _are(schema: pa.Schema, names: Iterable[str | None], fits) -> bool:
    return all(fits(schema.field(plain(name)).type) for name in names if name)
