"""`conversion_report.json`: what was converted, what was left out, and how equal source and target are."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from conversion.bert_map import Mapped
from conversion.checkpoints.source import Source
from conversion.tokens.tokenizer import unreachable_tokens
from conversion.verify import Verification
from schemas.bert_names import TIED
from schemas.files import write_whole
from schemas.manifest import join
from schemas.model import REPORT_FILE
from schemas.model_config import LosPooling


def describe(
    folder: str, source: Source, mapped: Mapped, verification: Verification, seconds: float
) -> dict[str, Any]:
    """The whole report of a conversion into the local model folder `folder`."""
    vocabulary = source.vocabulary
    return {
        "source": {
            "name": source.name,
            "naming": source.naming,
            "step": source.step,
            "moving_averages": source.use_ema,
            "fingerprint": source.fingerprint,
        },
        "config": source.config.to_dict(),
        "variables": {
            "consumed": len(mapped.consumed),
            "renamed": mapped.num_renamed,
            "ignored": dict(sorted(Counter(mapped.ignored.values()).items())),
            "parameters_filled": len(mapped.arrays),
            "parameters_tied": len(TIED),
            "values": sum(array.size for array in mapped.arrays.values()),
        },
        "vocabulary": {
            "origin": vocabulary.origin,
            "fingerprint": vocabulary.fingerprint,
            "code_maps": [applied.in_words() for applied in vocabulary.code_maps],
            "tokens": len(vocabulary.tokens),
            "rows_without_token": source.config.vocab_size - len(vocabulary.tokens),
            "merged_spellings": vocabulary.num_merged,
            "unrecognised_spellings": vocabulary.num_unrecognised,
            "unreachable_tokens": unreachable_tokens(folder, vocabulary.tokens),
        },
        "verification": describe_verification(verification, source.config.los_pooling),
        "seconds": round(seconds, 2),
    }


def describe_verification(verification: Verification, los_pooling: LosPooling) -> dict[str, Any]:
    """The report's section on parity. An error that is no finite number stands as null."""
    agreement = verification.agreement
    return {
        "passed": not agreement.failed,
        "max_abs_error": _finite(agreement.differences),
        "limits": dict(agreement.limits),
        "bfloat16_max_abs_error": _finite(verification.bfloat16_errors),
        "los_errors_are": "per real token" if los_pooling == "sum" else "absolute",
        "erf_gelu_max_abs_difference": _finite(verification.erf_gelu_differences),
        "num_random_patients": verification.num_random_patients,
        "num_real_patients": verification.num_real_patients,
        "num_codes": verification.num_codes,
        "seconds": round(verification.seconds, 2),
    }


def write_report(folder: str, report: dict[str, Any]) -> None:
    """Write the report into a local model folder, in an older one's place if there is one."""
    text = json.dumps(report, indent=2, allow_nan=False) + "\n"
    write_whole(join(folder, REPORT_FILE), text.encode())


def _finite(errors: Mapping[str, float]) -> dict[str, float | None]:
    return {name: error if math.isfinite(error) else None for name, error in errors.items()}
