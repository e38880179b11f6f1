"""What is small is compared with its manifest each time it is opened: a change is refused, in words."""

from __future__ import annotations

import json
from dataclasses import asdict

import pyarrow as pa
import pytest

from schemas import checkpoint, profile, vocabulary
from schemas.checkpoint import open_checkpoint
from schemas.embeddings import CODES
from schemas.embeddings import KIND as EMBEDDINGS
from schemas.errors import ContractError
from schemas.manifest import Manifest, describe_file, publish_manifest, read_manifest
from schemas.model_config import BertConfig
from schemas.parquet import open_named_parquet
from schemas.profile import Profile, read_profile
from schemas.vocabulary import STANDARD_SPECIAL_TOKENS, VOCABULARY, decode_vocab_txt, read_vocabulary
from tests.mutated_bytes import mutations
from tests.published import publish_again

TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[MASK]", *(f"ICD10CM//E{number}" for number in range(10, 40)))
VOCAB_TXT = "".join(f"{token}\n" for token in TOKENS)


def write_parquet(path, table):
    import pyarrow.parquet as pq

    pq.write_table(table, path, write_page_checksum=True)


def make_vocabulary(folder):
    (folder / "vocab.txt").write_text(VOCAB_TXT)
    numbers = list(range(len(TOKENS)))
    columns = dict(zip(VOCABULARY.column_names, (numbers, list(TOKENS), numbers, numbers), strict=True))
    write_parquet(folder / "vocabulary.parquet", pa.table(columns, schema=VOCABULARY.arrow))
    return {"special_tokens": asdict(STANDARD_SPECIAL_TOKENS)}


def make_checkpoint(folder):
    (folder / "vocab.txt").write_text(VOCAB_TXT)
    (folder / "config.json").write_text(BertConfig(vocab_size=len(TOKENS)).to_json())
    return {
        "step": 1,
        "backend": "torch",
        "vocabulary_fingerprint": "f" * 64,
        "special_tokens": asdict(STANDARD_SPECIAL_TOKENS),
    }


def make_profile(folder):
    (folder / "profile.json").write_text(Profile("vocabulary", 7).to_json())
    return {}


def make_embeddings(folder):
    columns = {"token_id": [0, 1], "token": ["[PAD]", "A"], "embedding": [[0.5, 1.5], [2.5, 3.5]]}
    write_parquet(folder / "codes.parquet", pa.table(columns, schema=CODES.arrow))
    return {"hidden_size": 2}


def table_of(kind, name):
    return lambda uri: open_named_parquet(uri, read_manifest(uri, kind), name).read()


CASES = {
    "a vocabulary": (vocabulary.KIND, make_vocabulary, "vocab.txt", read_vocabulary),
    "its table": (
        vocabulary.KIND,
        make_vocabulary,
        "vocabulary.parquet",
        table_of(vocabulary.KIND, "vocabulary.parquet"),
    ),
    "a checkpoint's vocabulary": (checkpoint.KIND, make_checkpoint, "vocab.txt", open_checkpoint),
    "a checkpoint's configuration": (checkpoint.KIND, make_checkpoint, "config.json", open_checkpoint),
    "a profile": (profile.KIND, make_profile, "profile.json", read_profile),
    "vectors": (EMBEDDINGS, make_embeddings, "codes.parquet", table_of(EMBEDDINGS, "codes.parquet")),
}


def published(case, folder):
    """(the folder's URI, its kind, the file's path, what reads it)."""
    kind, make, name, read = CASES[case]
    details = make(folder)
    files = tuple(describe_file(str(folder), path.name, 1) for path in sorted(folder.iterdir()))
    made = Manifest(kind, {"pooling": "mean"}, files=files, counts={"patients": 1}, details=details)
    publish_manifest(str(folder), made)
    return str(folder), kind, folder / name, read


@pytest.mark.parametrize("case", CASES)
def test_any_change_is_refused_or_changes_nothing(tmp_path, case):
    uri, _, path, read = published(case, tmp_path)
    original, before = path.read_bytes(), read(uri)
    refused = 0
    for content in mutations(original, 400):
        path.write_bytes(content)
        if content == original:
            assert read(uri) == before
            continue
        with pytest.raises(ContractError, match=f"{path.name} is not the file that was published"):
            read(uri)
        refused += 1
    assert refused > 300


@pytest.mark.parametrize("case", [case for case in CASES if not CASES[case][2].endswith(".parquet")])
def test_what_was_published_broken_is_refused_or_read_as_it_is(tmp_path, case):
    """The manifest agrees with the broken file: no error but in words."""
    uri, kind, path, read = published(case, tmp_path)
    original = path.read_bytes()
    refused = 0
    for content in mutations(original, 200):
        path.write_bytes(content)
        publish_again(uri, kind, path.name)
        try:
            read(uri)
        except ContractError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("case", CASES)
def test_a_file_that_the_manifest_does_not_list_is_refused(tmp_path, case):
    uri, _, path, read = published(case, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    files = [file for file in manifest["files"] if file["path"] != path.name]
    from tests.published import rewrite_manifest

    rewrite_manifest(uri, lambda plain: plain.update(files=files))
    with pytest.raises(ContractError, match=f"does not list {path.name}"):
        read(uri)


def test_bytes_that_are_no_text_are_named_by_their_line():
    with pytest.raises(ContractError, match=r"vocab.txt line 3 is not text in UTF-8"):
        decode_vocab_txt(b"[PAD]\nA\nB\xff\nC\n", "vocab.txt")
