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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TYPE_VOCAB_SIZE = "type_vocab_size"
"""Key of tokenizer_config.json, as of config.json: visit numbers of the model are below it."""
_EXAMPLE = 'Write [["E11.9", "I10"], ["N18.3"]] for two visits.'


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

    Raises ValueError for visits that are not lists of codes, for a code that is no text or empty, and for
    more visits than the model has numbers for. Messages never show a code.
    """
    num_numbers = _num_visit_numbers(tokenizer)
    token_ids: list[int] = []
    visit_numbers: list[int] = []
    num_unknown = number = 0
    for codes in _visits(visits):
        found = [_token_id(tokenizer, code) for code in codes]
        num_unknown += found.count(None)
        known = [tokenizer.unk_token_id if token_id is None else token_id for token_id in found]
        of_visit = _each_once([token_id for token_id in known if token_id is not None], tokenizer)
        number += bool(of_visit)
        token_ids += of_visit
        visit_numbers += [number] * len(of_visit)
    latest_ids, latest_visits = latest_codes(token_ids, visit_numbers, tokenizer.model_max_length)
    if latest_visits and latest_visits[-1] >= num_numbers:
        raise ValueError(
            f"The patient has {latest_visits[-1]} visits, and the model takes at most {num_numbers - 1}. "
            "Give fewer of the latest visits."
        )
    inputs = {
        "input_ids": latest_ids,
        "token_type_ids": latest_visits,
        "attention_mask": [1] * len(latest_ids),
    }
    return EncodedPatient(inputs, num_unknown, len(token_ids) - len(latest_ids))


def latest_codes(
    token_ids: list[int], visit_numbers: list[int], max_codes: int
) -> tuple[list[int], list[int]]:
    """The last `max_codes` (1 or more) codes, and their visit numbers from 1. All lists: (T,)."""
    kept = visit_numbers[-max_codes:]
    return token_ids[-max_codes:], [number - kept[0] + 1 for number in kept]


def _num_visit_numbers(tokenizer: PreTrainedTokenizerFast) -> int:
    stated = tokenizer.init_kwargs.get(TYPE_VOCAB_SIZE)
    if type(stated) is not int or stated < 1:
        raise ValueError(
            f"The tokenizer does not state {TYPE_VOCAB_SIZE}, how many visit numbers the model has. "
            "Load it from the model folder of this file, with AutoTokenizer.from_pretrained."
        )
    return stated


def _visits(visits: Iterable[Iterable[str]]) -> list[list[str]]:
    """The same as lists, checked."""
    checked = []
    for number, visit in enumerate(_listed(visits, "The argument visits", "visits"), 1):
        codes = _listed(visit, f"Visit {number}", "codes")
        for place, code in enumerate(codes, 1):
            if not isinstance(code, str) or not code.strip():
                what = "an empty text" if isinstance(code, str) else f"of type {type(code).__name__}"
                raise ValueError(
                    f"Code {place} of visit {number} is {what}, and a code is a text such as 'E11.9'. "
                    "Leave missing codes out."
                )
        checked.append(codes)
    return checked


def _listed(values: Any, what: str, of: str) -> list[Any]:
    """Refuses a text, which would be taken letter by letter, and a set, which has no order."""
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes, set, frozenset)):
        raise ValueError(f"{what} is of type {type(values).__name__}, not a list of {of}. {_EXAMPLE}")
    return list(values)


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
