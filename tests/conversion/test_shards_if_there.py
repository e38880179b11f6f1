"""`make convert` compares a run's own patients wherever there are any, and says so where there are none."""

import pytest

from conversion.convert import _shards_if_there
from schemas.manifest import Manifest, describe_file, publish_manifest
from schemas.shards import KIND, shard_details


@pytest.mark.parametrize(
    ("name", "why"),
    [("part-00000.parquet", None), ("part-00000.tfrecord", "has no Parquet"), (None, "is not there")],
)
@pytest.mark.parametrize("run", ["run of mine", "a[b]*?#\"'"])
def test_of_a_run(tmp_path, caplog, run, name, why):
    folder = tmp_path / run / "shards" / "valid"
    folder.mkdir(parents=True)
    if name:
        (folder / name).write_bytes(b"x")
        details = shard_details(
            vocabulary_fingerprint="f",
            vocabulary_size=5,
            special_tokens={"pad": 0, "unk": 1, "cls": 2, "mask": 3},
            num_codes=1,
            max_visits=1,
            length_histogram={1: 1},
        )
        files = (describe_file(str(folder), name, 1),)
        publish_manifest(str(folder), Manifest(kind=KIND, files=files, details=details))
    assert _shards_if_there(str(folder)) == (None if why else str(folder))
    assert (why or "") in caplog.text and bool(caplog.text) == bool(why)


def test_none_is_asked_for(caplog):
    assert _shards_if_there(None) is None and not caplog.text
