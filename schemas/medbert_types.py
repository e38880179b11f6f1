"""Med-BERT's `.types` vocabulary: a pickled dictionary of code spelling → id. Read without running anything.

A pickle is a program. Only the instructions that build a dictionary of text to whole numbers are let
through (ALLOWED_OPCODES); a file that holds any other is refused before it is loaded, so nothing of the
file's choosing is ever looked up, imported or called.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from schemas.codes import ICD9CM, ICD10CM, SEPARATOR, SYSTEMS, normalise_code
from schemas.errors import ContractError
from schemas.files import read_whole_file
from schemas.small_files import check_size
from schemas.vocabulary import MEDBERT_SPECIAL_TOKENS, SPECIAL_TOKENS, STANDARD_SPECIAL_TOKENS, SpecialTokens

MAX_BYTES = 64 << 20  # the paper's 82,603 codes take about 2 MB
MAX_INSTRUCTIONS = 4_000_000
"""A code takes three. An instruction of one byte can make an object of sixty-four."""
PADDING = "empty_pad"
PREFIXES = {"ICD9_": ICD9CM, "ICD10_": ICD10CM}
# fmt: off
ALLOWED_OPCODES = frozenset((
    "PROTO", "FRAME", "STOP",
    "MARK", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS",
    "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1",
))
# fmt: on


@dataclass(frozen=True)
class ImportedVocabulary:
    """A `.types` vocabulary in this project's spelling; tokens[i] has id i, as it had there.

    merged: (id, id of the token it is a second spelling of); its token is the placeholder
        `[MERGED_<id>]`.
    unrecognised: ids whose spelling has no known code system or not its form; they keep their spelling.
    """

    tokens: tuple[str, ...]
    special: SpecialTokens
    merged: tuple[tuple[int, int], ...]
    unrecognised: tuple[int, ...]


def read_types(uri: str) -> ImportedVocabulary:
    """Read a `.types` file through fsspec. Raises ContractError for all but codes with ids 0 to n - 1."""
    data = read_whole_file(uri, "a .types file is Med-BERT's vocabulary", "check the path", MAX_BYTES)
    return import_types(parse_types(data, uri), uri)


def parse_types(data: bytes, where: str) -> dict[str, int]:
    """The dictionary in a `.types` file's bytes, spellings as they stand. `where` is for messages.

    Raises ContractError, without loading, for any instruction that is not in ALLOWED_OPCODES.
    """
    check_size(len(data), where, MAX_BYTES)
    _check_opcodes(data, where)
    try:
        loaded = _NothingLookedUp(io.BytesIO(data)).load()
    except Exception as error:  # a damaged stream fails in many ways, none of them worth telling apart
        _refuse(where, f"cannot be read ({type(error).__name__})", "a .types file is one pickled dictionary")
    if type(loaded) is not dict:
        _refuse(where, f"holds a {type(loaded).__name__}", "a .types file holds a dictionary of code to id")
    for code, token_id in loaded.items():
        if type(code) is not str or type(token_id) is not int:
            _refuse(
                where,
                f"maps a {type(code).__name__} to a {type(token_id).__name__}",
                "every key is a code's text and every value its id",
            )
    return loaded


def import_types(types: dict[str, int], where: str) -> ImportedVocabulary:
    """Give Med-BERT's spellings (`ICD10_C50`) this project's (`ICD10CM//C50`); every id stays as it is.

    Where two spellings become one code, the lower id keeps the token and the other gets a placeholder.
    Raises ContractError unless the ids are 0 to n - 1, each once, and id 0 is the padding.
    """
    spellings = [""] * len(types)
    for spelling, token_id in types.items():
        if not 0 <= token_id < len(types) or spellings[token_id]:
            _refuse(where, f"gives id {token_id}", f"{len(types)} ids are 0 to {len(types) - 1}, each once")
        if not spelling or "\n" in spelling or "\r" in spelling:
            _refuse(where, f"has an empty or broken spelling for id {token_id}", "a code is one line of text")
        spellings[token_id] = spelling
    if not spellings or spellings[0] not in (PADDING, SPECIAL_TOKENS[0]):
        _refuse(where, "has a code at id 0 or is empty", f"id 0 is the padding, spelt {PADDING}")

    first_id: dict[str, int] = {}
    merged: list[tuple[int, int]] = []
    unrecognised: list[int] = []
    tokens = [SPECIAL_TOKENS[0]]
    special = MEDBERT_SPECIAL_TOKENS
    if tuple(spellings[1 : len(SPECIAL_TOKENS)]) == SPECIAL_TOKENS[1:]:  # one that export_types wrote
        special = STANDARD_SPECIAL_TOKENS
        tokens = list(SPECIAL_TOKENS)
    for token_id in range(len(tokens), len(spellings)):
        token = _token_of(spellings[token_id])
        if token is None:
            unrecognised.append(token_id)
            token = spellings[token_id]
        if token in first_id:
            merged.append((token_id, first_id[token]))
            token = f"[MERGED_{token_id}]"
        first_id.setdefault(token, token_id)
        tokens.append(token)
    if len(set(tokens)) != len(tokens):
        _refuse(where, "has codes spelt like special tokens", "[PAD] or [MERGED_<id>] is no code")
    return ImportedVocabulary(tuple(tokens), special, tuple(merged), tuple(unrecognised))


def export_types(tokens: Sequence[str]) -> bytes:
    """A vocabulary's tokens (by id) as the bytes of a `.types` file in Med-BERT's spelling.

    Padding, at id 0, is spelt as Med-BERT spells it; other special tokens and systems keep their spelling.
    """
    prefixes = {system: prefix for prefix, system in PREFIXES.items()}
    types = {PADDING: 0}
    for token_id, token in enumerate(tokens[1:], start=1):
        system, found, code = token.partition(SEPARATOR)
        types[prefixes[system] + code if found and system in prefixes else token] = token_id
    return pickle.dumps(types, protocol=4)


def _token_of(spelling: str) -> str | None:
    """`ICD10_C50` → `ICD10CM//C50`; None where the system is unknown or the code has not its form."""
    prefix = next((p for p in PREFIXES if spelling.startswith(p)), None)
    if prefix:
        system, code = PREFIXES[prefix], spelling.removeprefix(prefix)
    else:
        system, _, code = spelling.partition(SEPARATOR)
        if system not in SYSTEMS:
            return None
    try:
        return normalise_code(system, code)
    except ValueError:
        return None


class _NothingLookedUp(pickle.Unpickler):
    """A second wall behind _check_opcodes: no name is looked up, no outside object is fetched."""

    def find_class(self, module_name: str, global_name: str) -> NoReturn:
        raise pickle.UnpicklingError("no class or function may be looked up")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("no outside object may be fetched")


def _check_opcodes(data: bytes, where: str) -> None:
    end = dictionaries = 0
    try:
        for number, (opcode, argument, position) in enumerate(pickletools.genops(data), 1):
            dictionaries += opcode.name in ("EMPTY_DICT", "DICT")
            if number > MAX_INSTRUCTIONS or dictionaries > 1:
                _refuse(
                    where,
                    f"has more than {MAX_INSTRUCTIONS if dictionaries < 2 else 'one'} "
                    f"{'instructions' if dictionaries < 2 else 'dictionary'}",
                    f"a .types file is one dictionary, made by at most {MAX_INSTRUCTIONS} instructions",
                )
            end = (position or 0) + 1  # of the last instruction, STOP, which is one byte
            if opcode.name not in ALLOWED_OPCODES:
                _refuse(
                    where,
                    f"holds the pickle instruction {opcode.name}",
                    "it is a plain dictionary of text to whole numbers; what could run code is refused",
                )
            # The unpickler's memory of objects is a table as long as the highest number.
            if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and (argument or 0) > len(data):
                _refuse(where, f"remembers object number {argument}", "a file has fewer objects than bytes")
    except ContractError:
        raise
    except Exception as error:
        _refuse(where, f"cannot be read ({type(error).__name__})", "a .types file is one pickled dictionary")
    if end != len(data):
        _refuse(where, f"has {len(data) - end} bytes after its end", "a .types file is one pickle")


def _refuse(where: str, found: str, rule: str) -> NoReturn:
    raise ContractError(f"{where} {found}", rule, "give the .types file that Med-BERT's preprocessing wrote")
