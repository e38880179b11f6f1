"""How a table's rows lie in its files: what a manifest may promise in its detail `layout`.

`layout {partitioned_by, num_partitions, sorted_by}`: with `partitioned_by: patient_id` all rows of a patient
lie in one file, and each file is sorted, by patient first; a reader of whole files then moves no row. Where
it is absent (a foreign or mapped folder) rows lie in any order.
"""

from collections.abc import Sequence
from typing import Any

from schemas.diagnoses import PATIENT_ID
from schemas.manifest import Manifest

LAYOUT = "layout"
PARTITIONED_BY = "partitioned_by"


def layout_by_patient(num_partitions: int, sorted_by: Sequence[str]) -> dict[str, Any]:
    """The manifest's detail for files of whole patients."""
    return {
        LAYOUT: {PARTITIONED_BY: PATIENT_ID, "num_partitions": num_partitions, "sorted_by": list(sorted_by)}
    }


def has_whole_patients(manifest: Manifest) -> bool:
    """Whether each patient's rows lie together, in one file."""
    return manifest.details.get(LAYOUT, {}).get(PARTITIONED_BY) == PATIENT_ID
