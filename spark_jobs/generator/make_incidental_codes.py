"""How incidental_codes.csv was made, from the project's root:
`python -m spark_jobs.generator.make_incidental_codes reports/icd9cm_codes.tsv`.

It needs that table and the package simple_icd_10_cm, which the generator itself does not. The rule, for each
system:

1. all billable codes, without those that would be absurd in many patients: pregnancy, the newborn, organs
   that one sex has, genes, external causes, and injuries that carry an encounter letter;
2. in turns, the commonest looking code of every three-character category (short, and ending in 9 or 0, as
   unspecified ones do), then the second of every category, and so on; within a turn in order of the code's
   SHA-256, so that chapters mix;
3. the first CODES_A_SYSTEM of them. Their order is that of their weights.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import logging
import re
from collections import defaultdict
from collections.abc import Iterable
from importlib import resources

from spark_jobs.generator.model_file import INCIDENTAL_FILE

log = logging.getLogger(__name__)

CODES_A_SYSTEM = 5000

# Undotted codes that start so are left out.
_NOT_ICD9 = re.compile(
    r"E|6[3-7]|7[67]|179|18[0-7]|21[89]|22[0-2]|233|236|25[67]|60|61|62|752|V2[2-8]|V3|V7[26]|V91"
)
_NOT_ICD10 = re.compile(
    r"[OPUVWXY]|C5[0-8]|C6[0-3]|D0[567]|D2[4-9]|D39|D40|E2[89]|N4|N[6-9]|Q5[0-6]|QA|Z0[0-2]|Z1[2-3]|Z3|Z79"
)
_ENCOUNTER_LETTER = re.compile(r"[STM]\w{5}[A-Z]")


def billable_icd9(table: str) -> list[str]:
    """Every billable ICD-9-CM code, undotted.

    table: the content of icd9cm_codes.tsv, with the columns code and billable (1 or 0).
    """
    rows = csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE)
    return sorted(row["code"] for row in rows if row["billable"] == "1")


def billable_icd10() -> list[str]:
    """Every billable ICD-10-CM code, undotted."""
    import simple_icd_10_cm as icd10

    items = set(icd10.get_all_codes(with_dots=True))  # chapters and blocks of categories among them
    codes = (item for item in items if icd10.is_category_or_subcategory(item) and icd10.is_leaf(item))
    return sorted(code.replace(".", "") for code in codes)


def choose(codes: Iterable[str], left_out: re.Pattern[str], number: int) -> list[str]:
    """The rule of this module's docstring, points 1 to 3."""
    categories: dict[str, list[str]] = defaultdict(list)
    for code in codes:
        if not left_out.match(code) and not _ENCOUNTER_LETTER.fullmatch(code):
            categories[code[:3]].append(code)
    ranked = [
        (turn, hashlib.sha256(code.encode()).hexdigest(), code)
        for members in categories.values()
        for turn, code in enumerate(sorted(members, key=lambda c: (len(c), c[-1] not in "90", c)))
    ]
    return [code for _, _, code in sorted(ranked)[:number]]


def incidental_csv(icd9_table: str) -> str:
    """The content of incidental_codes.csv, from that of icd9cm_codes.tsv."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["icd_version", "code"])
    writer.writerows((9, code) for code in choose(billable_icd9(icd9_table), _NOT_ICD9, CODES_A_SYSTEM))
    writer.writerows((10, code) for code in choose(billable_icd10(), _NOT_ICD10, CODES_A_SYSTEM))
    return text.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description="Write incidental_codes.csv.")
    parser.add_argument("icd9_table", help="reports/icd9cm_codes.tsv")
    with open(parser.parse_args().icd9_table, encoding="utf-8", newline="") as file:
        icd9_table = file.read()
    path = resources.files("spark_jobs.generator").joinpath(INCIDENTAL_FILE)
    with resources.as_file(path) as target:
        target.write_text(incidental_csv(icd9_table), encoding="utf-8")
    log.info("wrote %s", INCIDENTAL_FILE)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main()
