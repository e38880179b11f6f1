"""One patient's visits as the model's inputs, exactly as in training. It needs a loaded tokenizer only.

    tokenizer = AutoTokenizer.from_pretrained(folder)
    patient = encode_patient(tokenizer, [["E11.9", "I10"], ["E11.9", "N18.3"]])
    inputs = tokenizer.pad([patient.inputs, ...], return_tensors="pt")
    outputs = model(**inputs)

A copy of this file lies in every model folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class EncodedPatient:
    """inputs: input_ids, token_type_ids (the visit of each code, from 1) and attention_mask, each (T,)."""

    inputs: dict[str, list[int]]
    num_unknown: int
    """Codes that the vocabulary lacks: [UNK] in the inputs, or left out where there is no [UNK]."""
    num_cut: int
    """Codes that were cut off, since training saw no more of a patient: the earliest."""


def encode_patient(tokenizer: PreTrainedTokenizerFast, visits: Iterable[Iterable[str]]) -> EncodedPatient:
    """visits: in order of discharge, each the codes of one visit in the order in which they are billed.

    `ICD10CM//E11.9`, or any spelling of it that the tokenizer knows. A code counts once a visit, in its first
    place; unknown codes are one [UNK] a visit. Of a patient with more codes than training saw the latest
    are kept, and the first visit of these has number 1. A visit without codes is no visit.
    """
    token_ids: list[int] = []
    visit_numbers: list[int] = []
    num_unknown = number = 0
    for codes in visits:
        found = [_token_id(tokenizer, code) for code in codes]
        num_unknown += found.count(None)
        known = [tokenizer.unk_token_id if token_id is None else token_id for token_id in found]
        of_visit = _each_once([token_id for token_id in known if token_id is not None], tokenizer)
        number += bool(of_visit)
        token_ids += of_visit
        visit_numbers += [number] * len(of_visit)
    num_cut = max(0, len(token_ids) - tokenizer.model_max_length)
    before = visit_numbers[num_cut] - 1 if num_cut else 0
    inputs = {
        "input_ids": token_ids[num_cut:],
        "token_type_ids": [visit - before for visit in visit_numbers[num_cut:]],
        "attention_mask": [1] * (len(token_ids) - num_cut),
    }
    return EncodedPatient(inputs, num_unknown, num_cut)


def _token_id(tokenizer: PreTrainedTokenizerFast, code: str) -> int | None:
    """None for a code that the vocabulary lacks."""
    core = tokenizer.backend_tokenizer
    token_id = core.token_to_id(code)
    if token_id is None and core.normalizer is not None:
        token_id = core.token_to_id(core.normalizer.normalize_str(code.strip()))
    return token_id


def _each_once(token_ids: list[int], tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Without repetitions; masked codes may be several."""
    seen: set[int] = set()
    kept = []
    for token_id in token_ids:
        if token_id == tokenizer.mask_token_id or token_id not in seen:
            kept.append(token_id)
            seen.add(token_id)
    return kept
