"""`vocabulary/`: `vocab.txt`, `vocabulary.parquet` and the manifest's `special_tokens` and `min_patients`.

`vocab.txt` has a token a line, and the line number from 0 is the id. Special tokens first, then codes by
number of patients in the training split, descending, ties by token. min_patients 1 is no minimum: codes that
only valid or test patients have are there too, last, with num_patients 0. Null: no minimum is known to hold
(an imported vocabulary, whose counts are all 0; an extension that kept codes of fewer patients).

An extension only appends: what the old vocabulary has keeps its id, new codes follow in the same order among
themselves, and all are counted anew. Its manifest has `extends [{fingerprint, size}]`, the vocabularies that
it extends, oldest first: ids below `size` mean the same in that vocabulary and in this one.

Of codes that were mapped before they were counted it has `code_maps` (schemas.applied_maps).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas.applied_maps import AppliedMap, read_code_maps
from schemas.errors import ContractError
from schemas.files import decode_text
from schemas.manifest import Manifest, join, read_manifest, read_small
from schemas.table import Column, TableSchema

KIND = "vocabulary"
VOCAB_FILE = "vocab.txt"
TABLE_FILE = "vocabulary.parquet"
EXTENDS = "extends"

VOCABULARY = TableSchema(
    "vocabulary",
    (
        Column("token_id", "int"),
        Column("token", "string"),
        Column("num_patients", "bigint", meaning="patients of the training split; 0 for special tokens"),
        Column("num_occurrences", "bigint", meaning="diagnosis rows of the training split"),
    ),
)

# A cell of fewer than 11 patients may not be published: CMS cell size suppression policy.
SMALL_CELL_MIN_PATIENTS = 11


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of the special tokens; None where the vocabulary has none (an imported Med-BERT vocabulary)."""

    pad: int
    unk: int | None
    cls: int | None
    mask: int

    @property
    def ids(self) -> frozenset[int]:
        return frozenset(i for i in (self.pad, self.unk, self.cls, self.mask) if i is not None)

    @property
    def first_code_id(self) -> int:
        """Codes have the ids from here on."""
        return max(self.ids) + 1


SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[MASK]")
STANDARD_SPECIAL_TOKENS = SpecialTokens(pad=0, unk=1, cls=2, mask=3)
MEDBERT_SPECIAL_TOKENS = SpecialTokens(pad=0, unk=None, cls=None, mask=0)


@dataclass(frozen=True)
class Vocabulary:
    """tokens[i] has id i."""

    tokens: tuple[str, ...]
    special: SpecialTokens
    fingerprint: str
    code_maps: tuple[AppliedMap, ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)


def parse_vocab_txt(text: str, where: str) -> tuple[str, ...]:
    """The tokens of a vocab.txt, checked: no empty line, no token twice. Raises ContractError.

    The ends of lines may be those of Windows, and a byte order mark may stand before the first.
    """
    lines = text.removeprefix("\ufeff").removesuffix("\n").split("\n")
    tokens = tuple(line.removesuffix("\r") for line in lines)
    if "" in tokens:
        raise ContractError(
            f"{where} line {tokens.index('') + 1} is empty",
            "every line is a token",
            "write the vocabulary again",
        )
    if len(set(tokens)) != len(tokens):
        seen: set[str] = set()
        twice = next(t for t in tokens if t in seen or seen.add(t))  # type: ignore[func-returns-value]
        raise ContractError(
            f"{where} lists {twice} twice", "a token has one id", "write the vocabulary again"
        )
    return tokens


def decode_vocab_txt(content: bytes, where: str) -> tuple[str, ...]:
    """As parse_vocab_txt, of the file's bytes."""
    text = decode_text(content, where, "every line is a token", "write the vocabulary again")
    return parse_vocab_txt(text, where)


def special_tokens_of(details: dict[str, Any], where: str) -> SpecialTokens:
    """The manifest's `special_tokens`. Raises ContractError."""
    try:
        return SpecialTokens(**details["special_tokens"])
    except (KeyError, TypeError) as error:
        raise ContractError(
            f"{where} states no usable special_tokens",
            "a vocabulary's manifest has special_tokens {pad, unk, cls, mask: id or null}",
            "write the vocabulary again",
        ) from error


def extends_details(old: Manifest, size: int) -> dict[str, Any]:
    """What the manifest of an extension of `old`, of so many tokens, says of it."""
    chain = [*old.details.get(EXTENDS, []), {"fingerprint": old.fingerprint, "size": size}]
    return {EXTENDS: chain}


def size_when(manifest: Manifest, size: int, fingerprint: str) -> int | None:
    """How many tokens a vocabulary had when its fingerprint was that one; None if it does not extend it.

    manifest: of the vocabulary as it is now, of `size` tokens.
    """
    now = {"fingerprint": manifest.fingerprint, "size": size}
    sizes = {state["fingerprint"]: state["size"] for state in [*manifest.details.get(EXTENDS, []), now]}
    return sizes.get(fingerprint)


def read_vocabulary(uri: str) -> Vocabulary:
    """Read a vocabulary folder through fsspec, vocab.txt by its SHA-256. Raises ContractError."""
    manifest: Manifest = read_manifest(uri, KIND)
    tokens = decode_vocab_txt(read_small(uri, manifest, VOCAB_FILE), join(uri, VOCAB_FILE))
    details = dict(manifest.details)
    special = special_tokens_of(details, uri)
    return Vocabulary(tokens, special, manifest.fingerprint, read_code_maps(details, uri))
