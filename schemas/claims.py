"""Raw claims as the generator writes them, and as source `claims` reads them: one row a claim, wide.

Like a payer's extract: diagnosis codes are undotted, up to MAX_DIAGNOSES a claim in order of priority,
nulls after the last; `icd_version` is that of the whole claim (9 up to 30 September 2015, 10 from 1 October
2015).
"""

from schemas.table import Column, TableSchema

KIND = "claims"
MAX_DIAGNOSES = 12
CLAIMS_FOLDER = "claims"
PATIENTS_FOLDER = "patients"
DIAGNOSIS_COLUMNS = tuple(f"diagnosis_{n}" for n in range(1, MAX_DIAGNOSES + 1))

CLAIMS = TableSchema(
    "claims",
    (
        Column("claim_id", "string"),
        Column("patient_id", "string"),
        Column("setting", "string", meaning="inpatient or outpatient"),
        Column("admit_date", "date", meaning="first day of service"),
        Column("discharge_date", "date", meaning="last day of service; the admit date for outpatient claims"),
        Column("icd_version", "int", meaning="9 or 10"),
        *(Column(name, "string", nullable=name != DIAGNOSIS_COLUMNS[0]) for name in DIAGNOSIS_COLUMNS),
    ),
)

PATIENTS = TableSchema(
    "patients",
    (
        Column("patient_id", "string"),
        Column("birth_year", "int"),
        Column("sex", "string", meaning="F or M"),
    ),
)
