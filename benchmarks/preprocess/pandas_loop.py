"""One pandas loop over patients, as Med-BERT's published script works: the whole extract in memory, one core.

    python -m benchmarks.preprocess.pandas_loop DIAGNOSES OUTPUT

Written afresh from the method (../../README.md links it): for each patient a slice of the table, sorted; for
each visit a slice of that. Codes get numbers in order of appearance.
"""

from __future__ import annotations

import sys
import time

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

REPORT_EVERY = 2_000
VISIT_ORDER = ["discharge_date", "order_1", "code"]


def sequences_of(diagnoses: pd.DataFrame) -> list[dict]:
    """One dictionary a patient: codes by name and number, visit numbers, stays and gaps."""
    numbers: dict[str, int] = {}
    made = []
    started = time.monotonic()
    for count, (patient, rows) in enumerate(diagnoses.groupby("patient_id"), start=1):
        rows = rows.sort_values(VISIT_ORDER)
        codes, ids, visits, admits, discharges = [], [], [], [], []
        for number, (discharge, visit) in enumerate(rows.groupby("discharge_date"), start=1):
            admits.append(visit["admit_date"].min())
            discharges.append(discharge)
            for code in visit["code"].drop_duplicates():
                codes.append(code)
                ids.append(numbers.setdefault(code, len(numbers) + 1))
                visits.append(number)
        los = [(out - into).days for into, out in zip(admits, discharges, strict=True)]
        gaps = [(into - out).days for into, out in zip(admits[1:], discharges[:-1], strict=True)]
        made.append(
            {
                "patient_id": patient,
                "codes": codes,
                "ids": ids,
                "visit_numbers": visits,
                "los_days": los,
                "days_to_next_visit": [*gaps, 0],
                "prolonged_los": any(days > 7 for days in los),
            }
        )
        if count % REPORT_EVERY == 0:
            print(f"{count} patients, {count / (time.monotonic() - started):.0f} a second", flush=True)
    return made


def main() -> None:
    diagnoses, output = sys.argv[1:]
    table = pd.read_parquet(diagnoses)
    table["admit_date"] = pd.to_datetime(table["admit_date"])
    table["discharge_date"] = pd.to_datetime(table["discharge_date"])
    pq.write_table(pa.Table.from_pylist(sequences_of(table)), output)


if __name__ == "__main__":
    main()
