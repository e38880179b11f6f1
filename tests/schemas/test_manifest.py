import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import (
    checkpoint,
    claims,
    diagnoses,
    embeddings,
    model,
    onnx_model,
    profile,
    sequences,
    shards,
    vocabulary,
)
from schemas.errors import ContractError, NotPublished
from schemas.manifest import (
    MANIFEST_NAME,
    Manifest,
    describe_file,
    is_plain_path,
    publish_manifest,
    read_listed,
    read_manifest,
    read_small,
    unpublish,
)
from schemas.manifest_forms import DETAILS, OptionalKey, misfit
from tests.mutated_bytes import mutations
from tests.published import rewrite_manifest, with_fingerprint


@pytest.fixture
def folder(tmp_path):
    """A published folder of one file."""
    (tmp_path / "split=train").mkdir()
    (tmp_path / "split=train" / "part-00000.parquet").write_bytes(b"some bytes")
    file = describe_file(str(tmp_path), "split=train/part-00000.parquet", rows=3)
    manifest = Manifest(
        "sequences", {"min_codes": 4}, {"diagnoses": "ab"}, (file,), {"rows_in": 9}, {"min_patients": 11}
    )
    publish_manifest(str(tmp_path), manifest)
    return tmp_path


def test_round_trip(folder):
    manifest = read_manifest(str(folder), "sequences", verify=True)
    assert manifest.parameters == {"min_codes": 4}
    assert manifest.inputs == {"diagnoses": "ab"}
    assert manifest.counts == {"rows_in": 9}
    assert manifest.details == {"min_patients": 11}
    assert manifest.num_rows == 3
    assert manifest == Manifest.from_json(manifest.to_json(), "sequences", "here")


def test_the_same_content_has_the_same_bytes_and_fingerprint_wherever_it_is(folder, tmp_path_factory):
    manifest = read_manifest(str(folder), "sequences")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    publish_manifest(str(elsewhere), manifest)
    assert (elsewhere / MANIFEST_NAME).read_bytes() == (folder / MANIFEST_NAME).read_bytes()


def test_fingerprint_is_of_the_content_not_of_the_writer():
    one, other = Manifest("x", created_by="release 1"), Manifest("x", created_by="release 2")
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != Manifest("x", counts={"rows": 1}).fingerprint


def test_a_folder_without_manifest_is_refused(folder):
    unpublish(str(folder))
    with pytest.raises(NotPublished, match="complete only once"):
        read_manifest(str(folder), "sequences")
    assert os.listdir(folder) == ["split=train"]


def _edit(folder, **changes):
    path = folder / MANIFEST_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_edited_manifest_is_refused(folder):
    _edit(folder, counts={"rows_in": 10})
    with pytest.raises(ContractError, match="not edited by hand"):
        read_manifest(str(folder), "sequences")


def test_another_version_is_refused_naming_both(folder):
    _edit(folder, version=2)
    with pytest.raises(ContractError, match=r"manifest version 2.*reads version 1"):
        read_manifest(str(folder), "sequences")


def test_another_kind_is_refused(folder):
    with pytest.raises(ContractError, match=r"holds sequences.*reads shards"):
        read_manifest(str(folder), "shards")


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", '{"fingerprint": "a", "kind": "sequences"}', "null"])
def test_what_is_no_manifest_is_refused(folder, text):
    (folder / MANIFEST_NAME).write_text(text)
    with pytest.raises(ContractError, match="cannot be read"):
        read_manifest(str(folder), "sequences")


def test_truncated_missing_and_altered_files_are_refused(folder):
    path = folder / "split=train" / "part-00000.parquet"
    path.write_bytes(b"some bytez")
    read_manifest(str(folder), "sequences")
    with pytest.raises(ContractError, match="SHA-256"):
        read_manifest(str(folder), "sequences", verify=True)
    path.write_bytes(b"some")
    with pytest.raises(ContractError, match="has 4 bytes, not 10"):
        read_manifest(str(folder), "sequences")
    path.unlink()
    with pytest.raises(ContractError, match="it is missing"):
        read_manifest(str(folder), "sequences")


LEADING_OUT = ["../x", "/etc/passwd", "a/../../x", "s3://bucket/x", "a/..", ".."]
NOT_PLAIN = [
    "",
    ".",
    "./x",
    "a//x",
    "a/",
    "x\0",
    "\0",
    "a\nb",
    "a::file:///x",
    "*",
    "a?b",
    "C:\\x",
    "é",
]


@pytest.mark.parametrize("path", [*LEADING_OUT, *NOT_PLAIN])
def test_a_path_that_leaves_the_folder_or_is_no_plain_name_is_refused(folder, path):
    rewrite_manifest(str(folder), lambda plain: plain["files"][0].update(path=path))
    with pytest.raises(ContractError, match="stay inside the folder"):
        read_manifest(str(folder), "sequences")


@pytest.mark.parametrize(
    "path", ["part-00000.parquet", "split=train/x", "batch=000001/part-00002.parquet", "model.ckpt-7.data-0"]
)
def test_the_paths_of_stages_are_plain(path):
    assert is_plain_path(path)


def test_a_file_is_listed_once_and_never_the_manifest_itself(folder):
    rewrite_manifest(str(folder), lambda plain: plain["files"].append(plain["files"][0]))
    with pytest.raises(ContractError, match=r"lists split=train/part-00000.parquet twice"):
        read_manifest(str(folder), "sequences")
    rewrite_manifest(str(folder), lambda plain: plain["files"][0].update(path=MANIFEST_NAME))
    with pytest.raises(ContractError, match=r"lists manifest.json"):
        read_manifest(str(folder), "sequences")


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path_factory):
    """A file that is one, and a folder on the way to it."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    part = folder / "split=train" / "part-00000.parquet"
    part.rename(elsewhere / part.name)
    part.symlink_to(elsewhere / part.name)
    with pytest.raises(ContractError, match="link that leads out of its folder"):
        read_manifest(str(folder), "sequences")
    part.unlink()
    part.parent.rmdir()
    part.parent.symlink_to(elsewhere)
    with pytest.raises(ContractError, match="link that leads out of its folder"):
        read_manifest(str(folder), "sequences")
    listed = Manifest.from_json((folder / MANIFEST_NAME).read_bytes(), "sequences", "here").files[0]
    with pytest.raises(ContractError, match="link that leads out of its folder"):
        read_listed(str(folder), listed)


def test_links_within_the_folder_and_to_it_are_followed(folder, tmp_path_factory):
    part = folder / "split=train" / "part-00000.parquet"
    part.rename(folder / "data")
    part.symlink_to("../data")
    linked = tmp_path_factory.mktemp("elsewhere") / "linked"
    linked.symlink_to(folder)
    for uri in (folder, linked):
        manifest = read_manifest(str(uri), "sequences", verify=True)
        assert read_listed(str(uri), manifest.files[0]) == b"some bytes"


@pytest.mark.timeout(20)
def test_what_is_no_file_is_refused_and_not_waited_for(folder):
    part = folder / "split=train" / "part-00000.parquet"
    listed = read_manifest(str(folder), "sequences").files[0]
    part.unlink()
    os.mkfifo(part)
    with pytest.raises(ContractError, match="it is no file"):
        read_manifest(str(folder), "sequences", verify=True)
    part.unlink()
    part.mkdir()
    for read in (lambda: read_manifest(str(folder), "sequences"), lambda: read_listed(str(folder), listed)):
        with pytest.raises(ContractError, match="it is no file"):
            read()
    with pytest.raises(NotPublished):
        read_manifest(str(folder / MANIFEST_NAME), "sequences")
    (folder / MANIFEST_NAME).unlink()
    (folder / MANIFEST_NAME).mkdir()
    with pytest.raises(ContractError, match="it is a folder"):
        read_manifest(str(folder), "sequences")


def test_a_file_is_read_by_its_sha256(folder):
    manifest = read_manifest(str(folder), "sequences")
    path = "split=train/part-00000.parquet"
    assert read_small(str(folder), manifest, path) == b"some bytes"
    (folder / path).write_bytes(b"some bytez")
    with pytest.raises(ContractError, match=f"{path} is not the file that was published: its SHA-256"):
        read_small(str(folder), manifest, path)
    (folder / path).unlink()
    with pytest.raises(ContractError, match="it is missing"):
        read_small(str(folder), manifest, path)
    with pytest.raises(ContractError, match=r"does not list vocab\.txt"):
        read_small(str(folder), manifest, "vocab.txt")


VALUES = [None, True, 0, -1, 1.5, "", "x", [], [1], {}, {"a": 1}, [[None]], "\0", 10**30]


@pytest.mark.parametrize("key", ["kind", "version", "created_by", "parameters", "inputs", "files", "counts"])
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_of_another_type_are_refused(folder, key, value):
    before = read_manifest(str(folder), "sequences")
    rewrite_manifest(str(folder), lambda plain: plain.update({key: value}))
    if key == "created_by" and isinstance(value, str):  # who wrote it is no part of the content
        assert read_manifest(str(folder), "sequences").fingerprint == before.fingerprint
    elif key in ("parameters", "counts") and isinstance(value, dict):
        assert getattr(read_manifest(str(folder), "sequences"), key) == value
    elif (key, value) in (("inputs", {}), ("files", [])):
        assert not getattr(read_manifest(str(folder), "sequences"), key)
    else:
        with pytest.raises(ContractError, match=r"cannot be read|holds|version"):
            read_manifest(str(folder), "sequences")


@pytest.mark.parametrize("key", ["path", "rows", "bytes", "sha256"])
@pytest.mark.parametrize("value", [*VALUES, "0" * 63, "G" * 64], ids=repr)
def test_an_entry_of_another_type_is_refused(folder, key, value):
    rewrite_manifest(str(folder), lambda plain: plain["files"][0].update({key: value}))
    if key == "rows" and type(value) is int and value >= 0:
        assert read_manifest(str(folder), "sequences").num_rows == value
        return
    with pytest.raises(ContractError, match=r"cannot be read|stay inside|hexadecimal|missing|bytes"):
        read_manifest(str(folder), "sequences")


def test_an_entry_has_no_key_too_few_and_none_too_many(folder):
    for change in (lambda file: file.pop("rows"), lambda file: file.update(more=1)):
        rewrite_manifest(str(folder), lambda plain, change=change: change(plain["files"][0]))
        with pytest.raises(ContractError, match=r"in one of its files there is"):
            read_manifest(str(folder), "sequences")


def test_each_kind_has_values_that_are_looked_at():
    assert set(DETAILS) | {"profile"} == {
        *(module.KIND for module in (checkpoint, claims, diagnoses, embeddings, model, onnx_model, profile)),
        *(module.KIND for module in (sequences, shards, vocabulary)),
        diagnoses.REJECTED_KIND,
    }


@pytest.mark.parametrize("kind", DETAILS)
def test_details_of_another_type_are_refused(kind):
    """Every value that a kind's readers rely on, in its place, with a right fingerprint."""
    for part, forms in DETAILS[kind].items():
        for name, form in forms.items():
            wrong = [value for value in VALUES if misfit(value, getattr(form, "form", form))]
            assert len(wrong) >= len(VALUES) - 6
            for value in wrong:
                plain = good(kind)
                (plain if part == "details" else plain[part])[name] = value
                with pytest.raises(
                    ContractError, match=f"cannot be read: .*{part if part == 'inputs' else name}"
                ):
                    Manifest.from_json(with_fingerprint(plain), kind, "here")
            if not isinstance(form, OptionalKey):
                plain = good(kind)
                del (plain if part == "details" else plain[part])[name]
                with pytest.raises(ContractError, match=f"there is no {name}"):
                    Manifest.from_json(with_fingerprint(plain), kind, "here")


def good(kind):
    """A manifest with what its kind must have."""
    special = {"pad": 0, "unk": None, "cls": None, "mask": 0}
    made = {str: "x", int: 1, dict[int, int]: {"3": 1}}
    plain = json.loads(Manifest(kind).to_json())
    for part, forms in DETAILS[kind].items():
        values = {
            name: special if name == "special_tokens" else made[form]
            for name, form in forms.items()
            if not isinstance(form, OptionalKey)
        }
        (plain if part == "details" else plain[part]).update(values)
    assert Manifest.from_json(with_fingerprint(plain), kind, "here").kind == kind
    return plain


def test_changed_bytes_are_refused_or_change_nothing(folder):
    path = folder / MANIFEST_NAME
    original = path.read_bytes()
    before = read_manifest(str(folder), "sequences")
    refused = 0
    for content in mutations(original, 2_000):
        path.write_bytes(content)
        try:
            found = read_manifest(str(folder), "sequences")
        except ContractError:
            refused += 1
        else:  # another blank between two values, or who wrote it
            assert found.fingerprint == before.fingerprint and found.files == before.files
    assert refused > 1_800


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from(["kind", "version", "parameters", "inputs", "files", "counts", "layout", "fingerprint"]),
)
def test_any_json_is_refused_or_keeps_its_form(value, key):
    plain = json.loads(Manifest("diagnoses").to_json()) | {key: value}
    for text in (json.dumps(value), with_fingerprint(plain), json.dumps(plain)):
        try:
            found = Manifest.from_json(text, "diagnoses", "here")
        except ContractError:
            continue
        assert all(is_plain_path(file.path) for file in found.files)
        assert all(isinstance(name, str) for name in found.inputs.values())


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe{", b"9" * 10_000, b'{"files": NaN}'])
def test_bytes_that_break_a_parser_are_refused(folder, content):
    (folder / MANIFEST_NAME).write_bytes(content)
    with pytest.raises(ContractError, match="cannot be read"):
        read_manifest(str(folder), "sequences")
