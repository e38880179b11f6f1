"""`diagnoses/`: one row a diagnosis, whatever the source was; `diagnoses_rejected/` beside it."""

from schemas.table import Column, TableSchema

KIND = "diagnoses"
REJECTED_KIND = "diagnoses_rejected"

PATIENT_ID = "patient_id"
VISIT_ID = "visit_id"
ADMIT_DATE = "admit_date"
DISCHARGE_DATE = "discharge_date"
CODE = "code"
ORDER_COLUMNS = ("order_1", "order_2", "order_3")

DIAGNOSES = TableSchema(
    "diagnoses",
    (
        Column(PATIENT_ID, "string"),
        Column(VISIT_ID, "string", nullable=True, meaning="encounter or claim id, where the source has one"),
        Column(ADMIT_DATE, "date"),
        Column(DISCHARGE_DATE, "date", meaning="not before admit_date"),
        Column(CODE, "string", meaning="SYSTEM//CODE (schemas.codes)"),
        *(
            Column(
                name,
                "int",
                nullable=True,
                meaning="order inside a visit, ascending, nulls last; then by code",
            )
            for name in ORDER_COLUMNS
        ),
    ),
)

# Rejected rows keep what the source said, so that a user can mend the source.
REJECTED = TableSchema(
    "diagnoses_rejected",
    (
        Column("reason", "string", meaning="one of REASONS"),
        Column("raw", "string", meaning="the raw row as JSON, every value as the source spelt it"),
    ),
)

# Reasons in the order in which they are tried: a row has the first that applies.
REASONS: dict[str, str] = {
    "row_malformed": "the row does not have the number of fields of its table's header",
    "patient_missing": "the patient id is null or empty",
    "admit_date_missing": "the admission date is null or empty",
    "admit_date_unreadable": "the admission date is not a date of the form YYYY-MM-DD",
    "discharge_date_missing": "the discharge date is null or empty",
    "discharge_date_unreadable": "the discharge date is not a date of the form YYYY-MM-DD",
    "discharge_before_admit": "the discharge date is before the admission date",
    "code_missing": "the diagnosis code is null or empty",
    "code_system_unknown": "the code does not say which code system it is of",
    "code_malformed": "the code does not have the form of its code system",
    "order_unreadable": "a column that gives the order in a visit is neither empty nor a whole number",
}
