"""`sequences/`: one row a patient, visits in order, in Hive partitions `split=train|valid|test`.

Invariants: token_ids and visit_numbers have one length, a code stands once in a visit, visit numbers start
at 1 and rise by one, the four visit arrays have one entry a visit, and the last visit's days_to_next_visit
is 0.
"""

from schemas.table import Column, TableSchema

KIND = "sequences"
SPLIT = "split"
SPLITS = TRAIN, VALID, TEST = "train", "valid", "test"
SPLIT_WEIGHTS = (7, 1, 2)
# Which rows of a patient are one visit.
BY_DISCHARGE_DATE = "discharge_date"
BY_VISIT_ID = "visit_id"
BY_OVERLAP = "overlap"
VISIT_RULES: dict[str, str] = {
    BY_DISCHARGE_DATE: "the same discharge date (Rasmy et al. 2021)",
    BY_VISIT_ID: "the same visit id; of those without one, the same discharge date",
    BY_OVERLAP: "stays that have a day in common, directly or through others",
}
PROLONGED_LOS_DAYS = 7  # a stay of more days is prolonged (Rasmy et al. 2021)

SEQUENCES = TableSchema(
    "sequences",
    (
        Column("patient_id", "string"),
        Column("token_ids", "array<int>", meaning="all visits' codes in order"),
        Column("visit_numbers", "array<int>", meaning="from 1, one a code"),
        Column("visit_admit_dates", "array<date>"),
        Column("visit_discharge_dates", "array<date>"),
        Column("los_days", "array<int>", meaning="latest discharge minus earliest admission, one a visit"),
        Column("days_to_next_visit", "array<int>", meaning="may be negative where stays overlap"),
        Column("prolonged_los", "boolean", meaning=f"any los_days > {PROLONGED_LOS_DAYS}"),
    ),
)
