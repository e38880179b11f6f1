"""`manifest.json`: the commit marker and the description of every output folder.

It is written last. A folder without one was never finished, and readers refuse it. It holds no time stamp and
only relative paths, so the same input gives the same bytes wherever it is written.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import fsspec

from schemas.errors import ContractError, NotPublished
from schemas.files import exists, is_inside, write_whole
from schemas.manifest_forms import DETAILS, FILE, HEAD, PARTS, misfit
from schemas.small_files import MOST_BYTES, read_within

MANIFEST_NAME = "manifest.json"
VERSION = 1
CREATED_BY = "medbert-lake 0.1.0"
OTHER_CONTENT = "its SHA-256 is another"
_CHUNK_BYTES = 8 << 20
_MANY_FILES = 20
_NAME = re.compile(r"[A-Za-z0-9_.=-]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ManifestFile:
    """One data file: its path relative to the folder, its rows, its bytes and their SHA-256 (hexadecimal)."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a folder holds, what made it, and from what.

    parameters: the options that decide the content. inputs: name of each input → its manifest's fingerprint.
    counts: rows in, rows out, rows set aside by reason, and whatever else the stage counted.
    details: what this kind adds; written as further top-level keys (e.g. `special_tokens` of a vocabulary).
    """

    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    files: tuple[ManifestFile, ...] = ()
    counts: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    version: int = VERSION
    created_by: str = CREATED_BY

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides the content; not of who wrote it."""
        content = {k: v for k, v in self._plain().items() if k != "created_by"}
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    @property
    def num_rows(self) -> int:
        return sum(file.rows for file in self.files)

    def _plain(self) -> dict[str, Any]:
        plain = {
            "kind": self.kind,
            "version": self.version,
            "created_by": self.created_by,
            "parameters": dict(self.parameters),
            "inputs": dict(self.inputs),
            "files": [asdict(file) for file in self.files],
            "counts": dict(self.counts),
        }
        clash = plain.keys() & self.details.keys()
        assert not clash, f"details may not redefine {clash}"
        return plain | dict(self.details)

    def to_json(self) -> str:
        return json.dumps(self._plain() | {"fingerprint": self.fingerprint}, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, content: str | bytes, kind: str, where: str) -> Manifest:
        """Parse and check; `where` is the folder, for messages.

        Raises ContractError when it is not JSON, of another kind or version, was edited by hand, has a value
        of another type (schemas.manifest_forms), or names a path that could lead out of the folder.
        """
        plain = _object(content, where)
        known = {name: plain.pop(name) for name in HEAD}
        stated = known.pop("fingerprint")
        if known["kind"] != kind:
            raise ContractError(
                f"{where} holds {known['kind']}", f"this stage reads {kind}", f"give it a {kind} folder"
            )
        if known["version"] != VERSION:
            raise ContractError(
                f"{where} has manifest version {known['version']}",
                f"this release reads version {VERSION}",
                "write the folder again with this release, or read it with the release that wrote it",
            )
        files = tuple(ManifestFile(**entry) for entry in known.pop("files"))
        manifest = cls(**known, files=files, details=plain)
        if manifest.fingerprint != stated:
            raise ContractError(
                f"{where}/{MANIFEST_NAME} states fingerprint {stated[:12]!r}, but its content has "
                f"{manifest.fingerprint[:12]}",
                "a manifest is not edited by hand",
                "write the folder again",
            )
        _check_files(files, where)
        manifest._check_forms(where)
        return manifest

    def _check_forms(self, where: str) -> None:
        """Raises ContractError for values of another type than this kind's readers expect."""
        of_kind = {name: getattr(self, name) for name in PARTS} | {"details": self.details}
        for part, forms in DETAILS.get(self.kind, {}).items():
            if wrong := misfit(of_kind[part], forms):
                raise _other_type(where, wrong)


def _object(content: str | bytes, where: str) -> dict[str, Any]:
    """A manifest as JSON has it, with the keys that all manifests have, of their types."""
    try:
        plain = json.loads(content.decode() if isinstance(content, bytes) else content)
    except (ValueError, RecursionError) as error:
        raise ContractError(
            f"{where}/{MANIFEST_NAME} cannot be read ({type(error).__name__})",
            "a manifest is the JSON object that the writing stage published",
            "write the folder again",
        ) from error
    if wrong := misfit(plain, HEAD):
        raise _other_type(where, wrong)
    for entry in plain["files"]:
        if wrong := misfit(entry, FILE, exact=True):
            raise _other_type(where, f"in one of its files {wrong}")
    return plain


def _other_type(where: str, wrong: str) -> ContractError:
    return ContractError(
        f"{where}/{MANIFEST_NAME} cannot be read: {wrong}",
        "a manifest is the JSON object that the writing stage published",
        "write the folder again",
    )


def _check_files(files: tuple[ManifestFile, ...], where: str) -> None:
    """Raises ContractError for paths that could lead elsewhere, and for numbers and sums that no file has."""
    seen: set[str] = set()
    for file in files:
        if not is_plain_path(file.path):
            raise ContractError(
                f"{where}/{MANIFEST_NAME} names the path {file.path[:100]!r}",
                "paths are relative and stay inside the folder: names of letters, digits, `_`, `-`, `.` and "
                "`=` with `/` between them, none of which is `.` or `..`",
                "write the folder again",
            )
        if file.path in seen or file.path == MANIFEST_NAME:
            raise ContractError(
                f"{where}/{MANIFEST_NAME} lists {file.path}" + (" twice" if file.path in seen else ""),
                "a manifest lists each data file once, and not itself",
                "write the folder again",
            )
        seen.add(file.path)
        if file.rows < 0 or file.bytes < 0 or not _SHA256.fullmatch(file.sha256):
            raise ContractError(
                f"{where}/{MANIFEST_NAME} states {file.rows} rows, {file.bytes} bytes and the SHA-256 "
                f"{file.sha256[:64]!r} of {file.path}",
                "rows and bytes are 0 or more, and a SHA-256 is 64 hexadecimal digits",
                "write the folder again",
            )


def is_plain_path(path: str) -> bool:
    """Whether a path may stand in a manifest: relative, within the folder, and the same to every reader."""
    return all(_NAME.fullmatch(name) and name not in (".", "..") for name in path.split("/"))


def stated_kind(content: str | bytes) -> str | None:
    """What a manifest says it is of, and nothing else checked; None where it does not say."""
    try:
        kind = json.loads(content).get("kind")
    except (ValueError, AttributeError, RecursionError):
        return None
    return kind if isinstance(kind, str) else None


def join(uri: str, *parts: str) -> str:
    """A path below a local folder or URI."""
    return "/".join([uri.rstrip("/"), *parts])


def no_manifest(uri: str, kind: str) -> NotPublished:
    """The error for a folder that was never published."""
    return NotPublished(
        f"{uri} has no {MANIFEST_NAME}",
        f"a {kind} folder is complete only once its manifest is written",
        "run the stage that makes it, and let it finish",
    )


def read_manifest(uri: str, kind: str, *, verify: bool = False) -> Manifest:
    """Read and check a folder's manifest through fsspec: every file present and of its stated size.

    verify: also compare each file's SHA-256 (reads every byte). Without it, whoever opens a file compares its
    SHA-256 then (`read_listed`, schemas.parquet). Raises ContractError.
    """
    filesystem, root = fsspec.core.url_to_fs(uri)
    try:
        content = read_within(filesystem, join(root, MANIFEST_NAME), MOST_BYTES, f"{uri}/{MANIFEST_NAME}")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise no_manifest(uri, kind) from error
    except IsADirectoryError as error:
        raise _other_type(uri, "it is a folder") from error
    manifest = Manifest.from_json(content, kind, uri)
    if len(manifest.files) > _MANY_FILES:
        # Drivers of remote stores remember what they listed, and then need not ask for each file's size.
        filesystem.invalidate_cache(root)
        filesystem.ls(root, detail=False)
    for file in manifest.files:
        check_file(uri, file, verify=verify)
    return manifest


def check_file(uri: str, file: ManifestFile, *, verify: bool = False) -> None:
    """Raises ContractError for a file that is missing, not in the folder, of another size or (with verify) of
    other content.
    """
    filesystem, root = fsspec.core.url_to_fs(uri)
    path = join(root, file.path)
    check_inside(uri, file)
    try:
        info = filesystem.info(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise damaged_file(uri, file, "it is missing") from error
    if info["type"] != "file":
        raise damaged_file(uri, file, "it is no file")
    if info["size"] != file.bytes:
        raise damaged_file(uri, file, f"it has {info['size']} bytes, not {file.bytes}")
    if verify and sha256_of(filesystem, path) != file.sha256:
        raise damaged_file(uri, file, OTHER_CONTENT)


def check_inside(uri: str, file: ManifestFile, where: str | None = None) -> None:
    """Raises ContractError for a path that leads out of the folder through a link.

    where: the folder as messages name it; None: its URI.
    """
    filesystem, root = fsspec.core.url_to_fs(uri)
    if not is_inside(filesystem, root, join(root, file.path)):
        raise ContractError(
            f"{join(where or uri, file.path)} is a link that leads out of its folder",
            "a folder's files are in the folder itself",
            "copy the folder with what its links lead to (cp -rL), or run the stage that makes it",
        )


def check_content(uri: str, file: ManifestFile, content: bytes) -> None:
    """Raises ContractError for content of a listed file that has another size or SHA-256."""
    if len(content) != file.bytes:
        raise damaged_file(uri, file, f"it has {len(content)} bytes, not {file.bytes}")
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise damaged_file(uri, file, OTHER_CONTENT)


def read_listed(uri: str, file: ManifestFile, where: str | None = None) -> bytes:
    """A listed file, whole, its SHA-256 compared with the manifest's.

    What is hashed are the very bytes that are returned, so nothing can come between. where: the folder as
    messages name it; None: its URI. Raises ContractError.
    """
    check_inside(uri, file, where)
    filesystem, root = fsspec.core.url_to_fs(uri)
    try:
        content = filesystem.cat_file(join(root, file.path))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise damaged_file(where or uri, file, "it is missing") from error
    except IsADirectoryError as error:
        raise damaged_file(where or uri, file, "it is no file") from error
    check_content(where or uri, file, content)
    return content


def listed_file(uri: str, manifest: Manifest, path: str) -> ManifestFile:
    """The entry of one file that a kind of folder always has. Raises ContractError where it is not listed."""
    for file in manifest.files:
        if file.path == path:
            return file
    raise ContractError(
        f"{uri}/{MANIFEST_NAME} does not list {path}",
        f"a {manifest.kind} folder has that file",
        "write the folder again",
    )


def read_small(uri: str, manifest: Manifest, path: str) -> bytes:
    """As `read_listed`, by its path."""
    return read_listed(uri, listed_file(uri, manifest, path))


def damaged_file(uri: str, file: ManifestFile, what: str) -> ContractError:
    """The error for a file that is not what the manifest says."""
    return ContractError(
        f"{join(uri, file.path)} is not the file that was published: {what}",
        "a folder's files are those its manifest lists",
        "copy the folder again whole, or run the stage that makes it",
    )


def sha256_of(filesystem: fsspec.AbstractFileSystem, path: str) -> str:
    """SHA-256 of one file, in hexadecimal, read in chunks."""
    digest = hashlib.sha256()
    with filesystem.open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def describe_file(uri: str, path: str, rows: int) -> ManifestFile:
    """The manifest entry of a file just written (path relative to the folder)."""
    filesystem, root = fsspec.core.url_to_fs(uri)
    full = join(root, path)
    return ManifestFile(path, rows, filesystem.size(full), sha256_of(filesystem, full))


def publish_manifest(uri: str, manifest: Manifest) -> None:
    """Write the manifest as the last file of a folder, whole."""
    write_whole(join(uri, MANIFEST_NAME), manifest.to_json().encode())


def is_published(uri: str) -> bool:
    """Whether a folder has a manifest. Raises OSError (or what its driver raises) when a store fails."""
    filesystem, root = fsspec.core.url_to_fs(uri)
    return exists(filesystem, join(root, MANIFEST_NAME))


def unpublish(uri: str) -> None:
    """Remove a folder's manifest, so that nobody reads the folder while it is rewritten."""
    filesystem, root = fsspec.core.url_to_fs(uri)
    path = join(root, MANIFEST_NAME)
    if exists(filesystem, path):
        filesystem.rm_file(path)
