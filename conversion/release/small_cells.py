"""No code of fewer patients than may be shown."""

from __future__ import annotations

from collections.abc import Mapping

from conversion.extend_vocabulary import CodeCounts
from conversion.model_folder import ModelFolder
from conversion.release.checks import Check


def check_small_cells(model: ModelFolder, counts: Mapping[str, CodeCounts], min_patients: int) -> Check:
    """counts: token → patients of the training split, as the vocabulary folder has them."""
    uncounted = sum(1 for code in model.codes if code not in counts)
    few = sum(1 for code in model.codes if code in counts and counts[code].patients < min_patients)
    passed = not uncounted and not few
    in_words = (
        f"each of the {len(model.codes):,} codes has {min_patients} training patients or more"
        if passed
        else f"{few:,} codes have fewer than {min_patients} training patients, of {uncounted:,} the number "
        "is not known: drop them (python -m conversion shrink)"
    )
    found = {"min_patients": min_patients, "codes": len(model.codes), "too_few": few, "uncounted": uncounted}
    return Check("small cells", passed, in_words, found)
