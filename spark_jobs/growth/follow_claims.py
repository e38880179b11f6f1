"""Claims as they land: each new file of a folder into diagnoses/, exactly once.

A look at the folder finds the files that no batch has, by the notes on the batches (growing). They are one
batch, which goes the way of any raw data into a folder of its own, and counts from when the manifest lists
it. A process killed before that begins again; one killed later finds it there. Claims that come late are rows
of a later batch like others.

A file may be on its way into the folder when it is seen. So a second look, `settle` later, decides: what has
another size or time by then waits for the next look (the next run, where this one takes in what there is
now). And a batch is only committed if its files are still the same after they were read. What changes later
is reported, or read again together with its batch.

What a row means must not depend on another row, which may come in another batch: sources and column maps with
rules on several rows (equal lines, reversals, visits one after another, …) or a second table are refused.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from pyspark.sql import SparkSession

from schemas.errors import ContractError
from schemas.manifest import join
from schemas.small_cells import in_words
from spark_jobs.checks import check_choice
from spark_jobs.files.storage import Folder
from spark_jobs.growth.growing import GrowingDiagnoses, LandedFile, open_growing
from spark_jobs.ingest_options import IngestClaims
from spark_jobs.sources.claims_map import ClaimsMap
from spark_jobs.sources.claims_map_file import read_claims_map
from spark_jobs.sources.tables import CSV, EXTENSIONS, RawInput, is_hidden

log = logging.getLogger(__name__)

NOW = "now"
REPORT, REINGEST = "report", "reingest"
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_INTERVAL = re.compile(rf"([1-9]\d*) ({'|'.join(_SECONDS)})s?")
_NO_TIME = re.compile(r"0( seconds?)?")
SOURCES = ("claims", "medbert")
FORMATS = (CSV, *dict.fromkeys(EXTENSIONS.values()))

Files = Mapping[str, LandedFile]


def follow(
    spark: SparkSession, config: IngestClaims, normalise: Callable, wait: Callable[[float], None] = time.sleep
) -> None:
    """Take in the files that have come; with an interval go on, until the process is stopped.

    normalise(raw, output, aside) → growing.Ingested writes one batch. wait(seconds). Raises ContractError.
    """
    uri = _folder(spark, config)
    settle = _settle(config)
    raw = RawInput(spark, uri, config.format, config.format_options)
    growing = open_growing(spark, config.output, config.aside, [config.input], config.shared_group)
    rereads = config.changed_files == REINGEST
    following = Following(growing, raw, normalise, settle, rereads, wait)
    following.take_what_came()
    while config.follow != NOW:
        wait(_seconds("follow", config.follow or "", NOW))
        following.take_what_came()


@dataclass
class Following:
    """A folder that is followed.

    raw: the folder. settle: seconds between two looks. rereads: whether files that have changed since they
    were read are read again.
    """

    growing: GrowingDiagnoses
    raw: RawInput
    normalise: Callable
    settle: float
    rereads: bool
    wait: Callable[[float], None]

    def __post_init__(self) -> None:
        self._reported: set[LandedFile] = set()

    def take_what_came(self) -> None:
        """One look, and one batch of what it finds, if anything."""
        known = self.growing.known_files
        seen = look(self.raw.folder)
        changed = {path for path in known.keys() & seen.keys() if seen[path] != known[path][1]}
        self._report([seen[path] for path in sorted(changed)])
        wanted = seen.keys() - known.keys() | (changed if self.rereads else set())
        if not wanted:
            log.info("nothing new in %s", self.raw.uri)
            return
        if self.settle:
            self.wait(self.settle)
            later = look(self.raw.folder)
            unsettled = {path for path in wanted if later.get(path) != seen[path]}
            self._say_they_wait(unsettled, "has changed since the first look")
            wanted, seen = wanted - unsettled, later
        files, replaced = self._with_their_batches(wanted, seen)
        while files:
            batch = self._normalised(files)
            later = look(self.raw.folder)
            moved = {path for path in files if later.get(path) != seen[path]}
            if not moved:
                self._add(batch, [seen[path] for path in files], replaced)
                return
            self._say_they_wait(moved, "has changed while it was read")
            files, replaced = self._with_their_batches(wanted - moved, seen, moved)

    def _with_their_batches(
        self, wanted: Collection[str], seen: Files, moved: Collection[str] = ()
    ) -> tuple[list[str], set[int]]:
        """(files to read, in order; numbers of the batches that they replace).

        A file of a batch comes with all files of that batch, or waits with those that moved. Raises
        ContractError where one of them is gone.
        """
        known = self.growing.known_files
        waits = {known[path][0] for path in moved if path in known}
        replaced = {known[path][0] for path in wanted if path in known} - waits
        files = {path for path in wanted if path not in known}
        for number in sorted(replaced):
            for file in self.growing.notes[number].files:
                if file.path not in seen:
                    raise ContractError(
                        f"{file.path} is not in {self.raw.uri} any more, and a file of its batch has changed",
                        "rows do not say which file they are of, so a batch is read again whole",
                        f"put it back, or leave --changed_files {REINGEST} out",
                    )
                files.add(file.path)
        return sorted(files), replaced

    def _normalised(self, files: list[str]):
        root = self.raw.folder.qualified
        given = replace(self.raw, files=tuple(join(root, path) for path in files))
        return self.normalise(given, *self.growing.start(self.raw.spark))

    def _add(self, batch, files: list[LandedFile], replaced: Collection[int]) -> None:
        number = self.growing.next_number
        self.growing.add(batch, files, replaced)
        added, aside = (in_words(sum(file.rows for file in of)) for of in (batch.files, batch.rejected_files))
        log.info(
            "batch %d of %s: %d files, %s diagnoses, %s rows rejected%s",
            number,
            self.growing.output.uri,
            len(files),
            added,
            aside,
            f"; in place of {len(replaced)} batches, whose files are read again" if replaced else "",
        )

    def _report(self, changed: list[LandedFile]) -> None:
        """Once for each state of a file."""
        new = [file for file in changed if file not in self._reported]
        self._reported |= set(new)
        for file in new:
            log.warning(
                "%s in %s has changed since it was read: %s",
                file.path,
                self.raw.uri,
                "it is read again, with its batch"
                if self.rereads
                else f"its rows are those of before. To read it again give --changed_files {REINGEST}",
            )

    def _say_they_wait(self, paths: Collection[str], why: str) -> None:
        for path in sorted(paths):
            log.warning("%s in %s waits for the next look: it %s", path, self.raw.uri, why)


def look(folder: Folder) -> dict[str, LandedFile]:
    """Path → file, of the folder's own files and those in `key=value` folders below, as Spark reads them."""
    found: dict[str, LandedFile] = {}

    def add(name: str) -> None:
        for entry in folder.list(name):
            own = entry.path.rpartition("/")[2]
            if is_hidden(own):
                continue
            if not entry.is_folder:
                found[entry.path] = LandedFile(entry.path, entry.bytes, entry.modified)
            elif "=" in own:
                add(entry.path)

    add("")
    return found


def _settle(config: IngestClaims) -> int:
    return 0 if _NO_TIME.fullmatch(config.settle) else _seconds("settle", config.settle, "0")


def _seconds(option: str, text: str, or_else: str) -> int:
    """Raises ContractError for what is no interval."""
    interval = _INTERVAL.fullmatch(text)
    if not interval:
        raise ContractError(
            f"{option} is {text}",
            f"it is {or_else}, or an interval such as `10 minutes`",
            f"give another --{option}",
        )
    return int(interval[1]) * _SECONDS[interval[2]]


def _folder(spark: SparkSession, config: IngestClaims) -> str:
    """The folder to watch. Raises ContractError for what cannot be followed."""
    raw = RawInput(spark, config.input, config.format, config.format_options)
    if config.follow != NOW:
        _seconds("follow", config.follow or "", NOW)
    _settle(config)
    check_choice("changed_files", [config.changed_files], (REPORT, REINGEST))
    if config.source not in SOURCES or config.format not in (None, *FORMATS):
        raise ContractError(
            f"source {config.source} with format {config.format or 'by extension'} cannot be followed",
            f"one can follow {' and '.join(SOURCES)} in files of {', '.join(FORMATS)}",
            "ingest it whole, without --follow",
        )
    if not raw.folder.is_folder():
        raise ContractError(
            f"{config.input} is not a folder", "new files are looked for in a folder", "check --input"
        )
    if config.source != "claims":
        return config.input
    claims_map = read_claims_map(config.claims.columns)
    _check_rows_alone(claims_map)
    below = claims_map.table if claims_map.table and raw.folder.is_folder(claims_map.table) else None
    return join(config.input, below) if below else config.input


def _check_rows_alone(claims_map: ClaimsMap) -> None:
    """Raise ContractError where what a row means depends on other rows."""
    status, birth = claims_map.status, claims_map.birth
    found = {
        "dates": claims_map.dates,
        "header": claims_map.header,
        "status.reversed and status.replacement": status and (status.reversed or status.replacement),
        "birth.table": birth and birth.table,
        "drop_duplicate_lines": claims_map.drop_duplicate_lines,
        "diagnoses.repeat_on_lines": claims_map.diagnoses.repeat_on_lines,
    }
    rules = [name for name, there in found.items() if there]
    if rules:
        raise ContractError(
            f"the column map has {', '.join(rules)}",
            "claims that are followed come in batches, and these rules need rows of other batches",
            "ingest everything whole, without --follow; or take the rules out of the map",
        )
