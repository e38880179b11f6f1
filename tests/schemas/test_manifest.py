import json
import os

import pytest

from schemas.errors import ContractError, NotPublished
from schemas.manifest import (
    MANIFEST_NAME,
    Manifest,
    describe_file,
    publish_manifest,
    read_manifest,
    unpublish,
)


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


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "s3://bucket/x"])
def test_a_path_that_leaves_the_folder_is_refused(folder, path):
    manifest = read_manifest(str(folder), "sequences")
    escaped = Manifest("sequences", files=(type(manifest.files[0])(path, 1, 1, "00"),))
    with pytest.raises(ContractError, match="stay inside the folder"):
        Manifest.from_json(escaped.to_json(), "sequences", "here")
