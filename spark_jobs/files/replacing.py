"""A published folder made anew while the old one stays readable.

Order of events: the stage writes into the folder that `start_next` gives, which lies within the old one
where no reader looks, and publishes there. `take_over` then puts its files in the old ones' place, the
manifest last. A process that is killed before `publish` leaves the old folder as it was. One that is killed
in the take-over leaves a folder without a manifest, never a mix: the next `take_over` finishes it, and the
stage begins with one.
"""

from __future__ import annotations

from pyspark.sql import SparkSession

from schemas.manifest import MANIFEST_NAME, Manifest, join
from spark_jobs.files.publish import STAGING, start_output
from spark_jobs.files.storage import Folder

NEXT = f"{STAGING}/next"


def start_next(spark: SparkSession, uri: str) -> Folder:
    """An empty folder for what is to replace the published folder `uri`."""
    return start_output(spark, join(uri, NEXT))


def take_over(spark: SparkSession, uri: str, kind: str) -> None:
    """Put what was published in `start_next`'s folder in the old one's place; nothing to do without it."""
    folder, new = Folder(spark, uri), Folder(spark, join(uri, NEXT))
    if not new.exists(MANIFEST_NAME):
        return
    manifest = Manifest.from_json(new.read_bytes(MANIFEST_NAME).decode(), kind, new.uri)
    old = _files(folder)
    folder.delete(MANIFEST_NAME)
    to_move = {entry.path for entry in new.files()} & {file.path for file in manifest.files}
    moved = {file.path for file in manifest.files} - to_move  # by a run that was killed
    for path in old - moved:
        folder.delete(path)
    for path in sorted(to_move):
        folder.rename(f"{NEXT}/{path}", path)
    folder.rename(f"{NEXT}/{MANIFEST_NAME}", MANIFEST_NAME)
    folder.delete(STAGING)


def publish_over(folder: Folder, manifest: Manifest) -> None:
    """Put a manifest in the place of the folder's own, if it has one, so that there is always one to read."""
    hidden = f".{MANIFEST_NAME}.tmp"
    folder.write_bytes(hidden, manifest.to_json().encode())
    folder.replace(hidden, MANIFEST_NAME)


def _files(folder: Folder) -> set[str]:
    """Files that a reader may see: none whose name, or that of a folder above it, begins with _ or a dot."""
    return {
        entry.path
        for entry in folder.files()
        if entry.path != MANIFEST_NAME and not any(part[0] in "_." for part in entry.path.split("/"))
    }
