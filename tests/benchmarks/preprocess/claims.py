"""A few claims of the generator's layout."""

from __future__ import annotations

import datetime

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.claims import CLAIMS, DIAGNOSIS_COLUMNS


def write_claims(path: str, claims: int, diagnoses: int = 3, claims_a_patient: int = 4) -> None:
    """Claims with `diagnoses` codes each, in order of their patients."""
    day = datetime.date(2012, 1, 1)
    codes = {name: "4019" if place < diagnoses else None for place, name in enumerate(DIAGNOSIS_COLUMNS)}
    rows = [
        {
            "claim_id": f"claim{number:06}",
            "patient_id": f"patient{number // claims_a_patient:05}",
            "setting": "outpatient",
            "admit_date": day,
            "discharge_date": day,
            "icd_version": 9,
            **codes,
        }
        for number in range(claims)
    ]
    pq.write_table(pa.Table.from_pylist(rows, CLAIMS.arrow), path)
