"""A published folder made anew while the old one stays readable.

Order of events: the stage writes into the folder that `start_next` gives, which lies within the old one
where no reader looks, and publishes there. `take_over` then puts its files in the old ones' place, the
manifest last. A process that is killed before `publish` leaves the old folder as it was. One that is killed
in the take-over leaves a folder without a manifest, never a mix: the next `take_over` finishes it, and the
stage begins with one. Files that neither manifest names stay.
"""

from __future__ import annotations

from pyspark.sql import SparkSession

from schemas.access import settle_access
from schemas.manifest import MANIFEST_NAME, Manifest, join
from spark_jobs.files.clearing import STAGING, UNFINISHED, listed, withdraw
from spark_jobs.files.leases import hold_folder
from spark_jobs.files.publish import start_output
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
    manifest = Manifest.from_json(new.read_bytes(MANIFEST_NAME), kind, new.uri)
    old = listed(folder)
    withdraw(folder)
    to_move = {entry.path for entry in new.files()} & {file.path for file in manifest.files}
    moved = {file.path for file in manifest.files} - to_move  # by a run that was killed
    for path in sorted(old - moved):
        folder.delete(path)
    for path in sorted(to_move):
        folder.rename(f"{NEXT}/{path}", path)
    folder.rename(f"{NEXT}/{MANIFEST_NAME}", MANIFEST_NAME)
    folder.delete(UNFINISHED)
    folder.delete(STAGING)
    settle_access(folder.qualified)


def finish_take_over(spark: SparkSession, uri: str, kind: str) -> None:
    """The same in a folder that this process does not hold. Raises FolderInUse where another one is at it."""
    if Folder(spark, join(uri, NEXT)).exists(MANIFEST_NAME):
        with hold_folder(spark, Folder(spark, uri)):
            take_over(spark, uri, kind)


def publish_over(folder: Folder, manifest: Manifest) -> None:
    """Put a manifest in the place of the folder's own, if it has one, so that there is always one to read."""
    folder.write_bytes(UNFINISHED, manifest.to_json().encode())
    folder.replace(UNFINISHED, MANIFEST_NAME)
    settle_access(folder.qualified)
