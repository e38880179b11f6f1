"""What of an output folder a stage may take away: what a stage wrote there, and nothing else.

From its first change to a folder until it publishes, a stage has the file UNFINISHED there: the manifest of
before, hidden from every reader, or nothing. So the next run can tell what a killed stage left behind from
what somebody else put there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyspark.sql import SparkSession

from schemas.errors import ContractError
from schemas.manifest import MANIFEST_NAME, Manifest, join, stated_kind
from schemas.shards import is_part_name
from spark_jobs.files.storage import Folder

UNFINISHED = f".{MANIFEST_NAME}.unfinished"
STAGING = "_writing"


def check_apart(spark: SparkSession, uri: str, inputs: Iterable[str]) -> None:
    """Raise ContractError where an output is one of the inputs, contains one or lies in one."""
    output = Folder(spark, uri).qualified
    for other in inputs:
        found = Folder(spark, other).qualified
        if output == found or _lies_in(output, found) or _lies_in(found, output):
            raise ContractError(
                f"{uri} is both input and output"
                if output == found
                else f"of output {uri} and input {other} one lies in the other",
                "a stage reads and writes apart",
                "name another output",
            )


def clear(folder: Folder, subfolders: Iterable[str] = ()) -> None:
    """Make a folder unreadable, and remove what a stage wrote: the files of the manifest; those parts that a
    killed stage left in the folder and in `subfolders`; what was being written.

    Raises ContractError, and removes nothing, where other part files lie in the new ones' way.
    """
    places = ("", *subfolders)
    own, parts = listed(folder), set(_parts(folder, places))
    if _is_unfinished(folder):
        own |= parts
    if others := sorted(parts - own):
        raise ContractError(
            f"{join(folder.uri, others[0])} was not written by a stage that published or was stopped here",
            "a stage clears its output of what stages wrote, and of nothing else",
            "name another output, or take the part files there away",
        )
    withdraw(folder)
    for place in places:
        folder.delete(join(place, STAGING) if place else STAGING)
    for path in sorted(own):
        folder.delete(path)


def listed(folder: Folder) -> set[str]:
    """Paths of the files that the manifest names, or that of before, where a stage was stopped."""
    manifests = (_manifest(folder, name) for name in (MANIFEST_NAME, UNFINISHED))
    return {file.path for manifest in manifests if manifest for file in manifest.files}


def withdraw(folder: Folder) -> None:
    """Make the manifest UNFINISHED, in one step: from then on no reader takes the folder."""
    if folder.exists(MANIFEST_NAME):
        if folder.exists(UNFINISHED):
            folder.delete(UNFINISHED)
        folder.rename(MANIFEST_NAME, UNFINISHED)
    elif not folder.exists(UNFINISHED):
        folder.write_bytes(UNFINISHED, b"")


def _is_unfinished(folder: Folder) -> bool:
    """A manifest that cannot be read is a stage's too: it lists nothing that one could go by."""
    return folder.exists(UNFINISHED) or (
        folder.exists(MANIFEST_NAME) and _manifest(folder, MANIFEST_NAME) is None
    )


def _manifest(folder: Folder, name: str) -> Manifest | None:
    """None where there is none that can be read."""
    if not folder.exists(name):
        return None
    content = folder.read_bytes(name)
    try:
        return Manifest.from_json(content, stated_kind(content) or "", folder.uri)
    except ContractError:
        return None


def _parts(folder: Folder, places: Iterable[str]) -> Iterator[str]:
    """Part files directly in the places."""
    for place in places:
        for entry in folder.list(place):
            if not entry.is_folder and is_part_name(entry.path.rpartition("/")[2]):
                yield entry.path


def _lies_in(inner: str, outer: str) -> bool:
    return inner.startswith(f"{outer.rstrip('/')}/")
