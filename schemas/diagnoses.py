"""`diagnoses/`: one row a diagnosis, whatever the source was; `diagnoses_rejected/` beside it.

The manifest of mapped diagnoses has `code_maps` (schemas.applied_maps).
"""

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
        Column(
            "column",
            "string",
            nullable=True,
            meaning="the source's column that the reason is about, several with commas; null: the row",
        ),
        Column("raw", "string", meaning="the row as JSON: what ingest reads of it, as the source spelt it"),
    ),
)

SAME_DAY = "same_day_rows"
ORDERS_UNREADABLE = "orders_unreadable"
# Rows of patients whom --max_patients leaves out: neither used nor rejected.
LEFT_OUT = "rows_of_patients_left_out"

# Counts of rows that are used, though a rule changed them or they are worth a look.
NOTED: dict[str, str] = {
    "admit_date_fallback": "the admission date is that of another column, as its own is empty",
    "discharge_date_fallback": "the discharge date is that of another column, as its own is empty",
    "outpatient_one_day": "the claim is no stay, though it spans several days: it counts as its first day",
    "codes_repaired": "the code was fixed by a rule of the column map",
    "system_assumed": "the row does not say its code system: it is the one of the options, or the form's",
    "dates_of_condition": "no visit is known, so the dates are the event's own",
    "visit_unknown": "the visit that is named is not one of this patient in the table of visits",
    "day_is_visit": "no visit is named, so the day is the visit",
    SAME_DAY: "discharged on the day of admission",
    ORDERS_UNREADABLE: "the order in a visit is neither a whole number nor a letter: the row has none",
}

# Reasons that only a source can know: a rule on its claims.
SOURCE_REASONS = ("duplicate_line", "claim_reversed", "claim_replaced", "repeated_on_line")

# Counts of rows of the source that are not looked at: they say neither what is used nor what is rejected.
PASSED_OVER: dict[str, str] = {
    "rows_of_other_codes": "the code begins with none of the systems that are read (--meds.systems)",
    "rows_of_other_types": "the condition is of another type than those asked for (--omop.condition_types)",
}

ENCODING_UNREADABLE = "encoding_unreadable"

# Reasons in the order in which they are tried: a row has the first that applies.
REASONS: dict[str, str] = {
    "row_malformed": "the row does not have the number of fields of its table's header",
    ENCODING_UNREADABLE: "a column that is read has bytes that are not of the encoding it was read in",
    "patient_unreadable": "the patient id is a number that is not whole, or that a float cannot hold exactly",
    "visit_unreadable": "so is the id of the visit or claim",
    "duplicate_line": "an equal row was read already",
    "claim_reversed": "the claim takes another back, or was taken back by another",
    "claim_replaced": "the claim was replaced by a later one",
    "repeated_on_line": "another line of the claim has the same code already",
    "patient_missing": "the patient id is null or empty",
    "admit_date_missing": "the admission date is null or empty",
    "admit_date_unreadable": "the admission date is not a date YYYY-MM-DD, with or without a time",
    "discharge_date_missing": "the discharge date is null or empty",
    "discharge_date_unreadable": "the discharge date is not a date YYYY-MM-DD, with or without a time",
    "discharge_before_admit": "the discharge date is before the admission date",
    "before_birth": "the admission is before the patient's birth",
    "in_future": "the discharge date is after the day of the extract (--as_of)",
    "code_missing": "the code is null, empty or a word that stands for a missing one",
    "code_system_unknown": "the code does not say which code system it is of",
    "code_malformed": "the code does not have the form of its code system",
}
