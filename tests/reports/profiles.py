"""Profiles of a made-up data set, published as the Spark job does it."""

from dataclasses import replace

import fsspec

from schemas import profile
from schemas.manifest import Manifest, describe_file, publish_manifest
from schemas.profile import Code, Histogram, Month, Profile, Rejects

TOKENS = [
    f"ICD10CM//{code}" for code in ("I10", "E11.9", "J06.9", "M54.5", "F41.9", "K21.9", "N18.30", "I50.9")
]
LAST_ICD9_MONTH = "2015-09"


def a_profile(**changed) -> Profile:
    """3 years of 6,000 rows a month of 9,000 patients, code systems changing in October 2015."""
    months = [f"{year}-{month:02d}" for year in (2014, 2015, 2016) for month in range(1, 13)]
    made = Profile(
        "diagnoses",
        rows=216_000,
        patients=9_000,
        visits=72_000,
        num_codes=4_000,
        months={m: Month(6_000, {"ICD9CM" if m <= LAST_ICD9_MONTH else "ICD10CM": 6_000}) for m in months},
        systems={"ICD10CM": 90_000, "ICD9CM": 126_000},
        codes=tuple(Code(token, 3_000, 20_000 - 1_000 * n) for n, token in enumerate(TOKENS)),
        visits_per_patient=Histogram((1, 2, 4, 8, 16), (1_000, 2_000, 4_000, 2_000), 8.0, 6, 15),
        codes_per_patient=Histogram((1, 8, 16, 32), (2_000, 3_000, 4_000), 24.0, 20, 31),
        los=(60_000, 2_000, 2_000, 2_000, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000, None),
        rejected={
            "code_malformed": Rejects(300, (("diagnosis_3", "X999.99.9"), ("diagnosis_1", "x9?"))),
            "patient_missing": Rejects(None),
        },
    )
    return replace(made, **changed)


def publish(uri: str, made: Profile) -> str:
    """Write a profile's folder; returns its URI."""
    filesystem, root = fsspec.core.url_to_fs(uri)
    filesystem.makedirs(root, exist_ok=True)
    filesystem.pipe_file(f"{root}/{profile.PROFILE_FILE}", made.to_json().encode())
    files = (describe_file(uri, profile.PROFILE_FILE, 1),)
    publish_manifest(uri, Manifest(profile.KIND, inputs={made.stage: "ab" * 32}, files=files))
    return uri


def without_months(made: Profile, *names: str) -> Profile:
    return replace(made, months={name: month for name, month in made.months.items() if name not in names})
