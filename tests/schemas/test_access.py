"""Patient data are their owner's alone, or a group's that was named, whatever the umask is."""

import grp
import os

import pytest

from schemas.access import make_private, settle_access
from schemas.errors import ContractError


@pytest.fixture(params=[0o022, 0o077, 0o000])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def _modes(folder) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_mode & 0o7777 for path in [folder, *folder.rglob("*")]
    }


def _fill(folder) -> None:
    (folder / "split=train").mkdir()
    for path in (folder / "split=train" / "part-00000.parquet", folder / "manifest.json"):
        path.write_text("x")
        path.chmod(0o755)


@pytest.mark.parametrize("scheme", ["", "file:"])
def test_a_folder_is_its_owners_alone(tmp_path, umask, scheme):
    folder = tmp_path / "run" / "diagnoses"
    make_private(f"{scheme}{folder}")
    assert _modes(folder) == {".": 0o700}
    _fill(folder)
    settle_access(f"{scheme}{folder}")
    assert _modes(folder) == {
        ".": 0o700,
        "split=train": 0o700,
        "split=train/part-00000.parquet": 0o600,
        "manifest.json": 0o600,
    }


def test_a_folder_that_was_open_is_closed(tmp_path):
    folder = tmp_path / "diagnoses"
    folder.mkdir(mode=0o755)
    make_private(str(folder))
    assert _modes(folder) == {".": 0o700}


def test_a_group_may_read(tmp_path, umask):
    folder = tmp_path / "diagnoses"
    name = grp.getgrgid(os.getgid()).gr_name
    make_private(str(folder), name)
    _fill(folder)
    settle_access(str(folder))
    assert set(_modes(folder).values()) == {0o2750, 0o640}
    assert {path.stat().st_gid for path in [folder, *folder.rglob("*")]} == {os.getgid()}
    make_private(str(folder))
    settle_access(str(folder))
    assert set(_modes(folder).values()) == {0o700, 0o600}


def test_a_group_that_is_not_ours_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ContractError, match=r"cannot be given to no-such-group \(KeyError\).*--shared_group"):
        make_private(str(tmp_path / "a"), "no-such-group")

    def chown(*arguments):
        raise PermissionError

    monkeypatch.setattr(os, "chown", chown)
    with pytest.raises(ContractError, match="PermissionError"):
        make_private(str(tmp_path / "b"), grp.getgrgid(os.getgid()).gr_name)


def test_another_users_folder(tmp_path, monkeypatch):
    def chmod(*arguments):
        raise PermissionError

    (tmp_path / "closed").mkdir(mode=0o770)
    (tmp_path / "open").mkdir(mode=0o755)
    monkeypatch.setattr(os, "chmod", chmod)
    make_private(str(tmp_path / "closed"))
    with pytest.raises(ContractError, match="owner alone"):
        make_private(str(tmp_path / "open"))


def test_what_is_not_private_stays_as_it_is(tmp_path):
    (tmp_path / "vocabulary").mkdir(mode=0o755)
    _fill(tmp_path / "vocabulary")
    before = _modes(tmp_path / "vocabulary")
    settle_access(str(tmp_path / "vocabulary"))
    assert _modes(tmp_path / "vocabulary") == before


@pytest.mark.parametrize("uri", ["s3a://bucket/run", "hdfs:/run", "memory://run"])
def test_a_store_is_left_alone(uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_private(uri)
    settle_access(uri)
    assert not os.listdir(tmp_path)


def test_links_are_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("x")
    (tmp_path / "elsewhere").chmod(0o644)
    make_private(str(tmp_path / "run"))
    os.symlink(tmp_path / "elsewhere", tmp_path / "run" / "link")
    settle_access(str(tmp_path / "run"))
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o644
