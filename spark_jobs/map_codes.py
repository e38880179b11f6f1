"""diagnoses/ → diagnoses/ in other codes: ICD-9-CM to ICD-10-CM by a GEM, a roll-up, or both."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, Observation, SparkSession

from schemas import diagnoses
from schemas.applied_maps import CATEGORIES, GEM, TABLE, AppliedMap, code_maps_details, read_code_maps
from schemas.code_maps import KEEP, POLICIES
from schemas.codes import ICD9CM, ICD10CM, system_named
from schemas.errors import ContractError
from schemas.manifest import Manifest
from schemas.rules import check_diagnoses
from schemas.small_cells import in_words, publishable
from spark_jobs.checks import check_choice, checked
from spark_jobs.code_maps import CodeMap, read_gem, read_two_columns
from spark_jobs.config import run_job
from spark_jobs.files.leases import holds_outputs
from spark_jobs.files.listed_tables import read_table
from spark_jobs.files.publish import publish, read_published, start_private, write_parquet
from spark_jobs.transforms.code_maps import (
    IN_ALL,
    OTHER_SYSTEM,
    counters,
    look_up,
    look_up_category,
    replace_codes,
    report,
    shares,
)
from spark_jobs.worker_errors import errors_of_workers

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MapCodes:
    """Give diagnoses other codes. Codes that a map does not have, or is not about, stay as they are.

    Args:
        diagnoses: what ingest wrote.
        output: folder for the diagnoses with their new codes.
        map: a General Equivalence Mapping as CMS ships it, e.g. 2018_I9gem.txt, or gzipped.
        from_system: the system that the map's codes are of.
        to_system: the system that the map leads to.
        one_to_many: what becomes of a code with several targets, in the roll-up too: keep, first or cluster.
        roll_up: three, for categories (before the dot), or a table with columns from and to (CSV, Parquet).
        roll_up_from: the system of that table's from, where its codes do not name it (SYSTEM//CODE).
        roll_up_to: the system of its to, where they do not name it, e.g. CCS.
        shared_group: a group of this machine whose members may read the output; without it, its owner alone.
    """

    diagnoses: str
    output: str
    map: str | None = None
    from_system: str = ICD9CM
    to_system: str = ICD10CM
    one_to_many: str = KEEP
    roll_up: str | None = None
    roll_up_from: str = ICD10CM
    roll_up_to: str | None = None
    shared_group: str | None = None


@holds_outputs("output")
@errors_of_workers()
def main(spark: SparkSession, config: MapCodes) -> None:
    _check(config)
    config = _with_system_names(config)
    source = read_published(spark, config.diagnoses, diagnoses.KIND)
    maps = _read_maps(spark, config)
    output = start_private(spark, config.output, config.shared_group, [config.diagnoses])

    rows = checked(read_table(spark, source, diagnoses.DIAGNOSES), check_diagnoses, source.uri)
    seen = {step: Observation() for step in maps}
    for step, code_map in maps.items():
        rows = replace_codes(_looked_up(rows, code_map).observe(seen[step], *counters()))
    files = write_parquet(rows, output, schema=diagnoses.DIAGNOSES, check=check_diagnoses)

    reports = {step: report(observation.get) for step, observation in seen.items()}
    rows_in, rows_out = source.manifest.num_rows, sum(file.rows for file in files)
    first = reports[next(iter(reports))][IN_ALL]
    assert sum(first.values()) == rows_in, "a diagnosis was lost or doubled on the way"
    assert rows_out >= rows_in, "a map takes no row away"
    counts = {"rows_in": rows_in, "rows_out": rows_out, "rows_rejected": 0, "rows_added": rows_out - rows_in}
    _log(reports)
    parameters = {
        name: getattr(config, name)
        for name in ("from_system", "to_system", "one_to_many", "roll_up_from", "roll_up_to")
    } | {"roll_up": _kind_of_roll_up(config) if config.roll_up else None}
    inputs = {diagnoses.KIND: source.manifest.fingerprint}
    inputs |= {step: code_map.fingerprint for step, code_map in maps.items() if code_map}
    applied = [*read_code_maps(source.manifest.details, source.uri), *_applied(config, maps)]
    details = code_maps_details(applied) | {
        "mapped_shares": {
            step: {period: shares(found) for period, found in periods.items()}
            for step, periods in reports.items()
        }
    }
    publish(output, Manifest(diagnoses.KIND, parameters, inputs, tuple(files), counts | reports, details))


def _check(config: MapCodes) -> None:
    check_choice("one_to_many", [config.one_to_many], tuple(POLICIES))
    if config.map is None and config.roll_up is None:
        raise ContractError(
            "there is neither a map nor a roll-up",
            "codes are mapped by a GEM, rolled up, or both",
            "give --map, --roll_up or both (MAP, ROLL_UP)",
        )


def _with_system_names(config: MapCodes) -> MapCodes:
    """Each code system by the name that schemas.codes has for it."""
    names = ("from_system", "to_system", "roll_up_from", "roll_up_to")
    return replace(
        config, **{name: system_named(found) for name in names if (found := getattr(config, name))}
    )


def _read_maps(spark: SparkSession, config: MapCodes) -> dict[str, CodeMap | None]:
    """Step → its map, in the order in which they are applied; None for categories, which need none."""
    maps: dict[str, CodeMap | None] = {}
    policy = config.one_to_many
    if config.map:
        maps["map"] = read_gem(spark, config.map, config.from_system, config.to_system, policy)
    if config.roll_up == CATEGORIES:
        maps["roll_up"] = None
    elif config.roll_up:
        maps["roll_up"] = read_two_columns(
            spark, config.roll_up, config.roll_up_from, config.roll_up_to, policy
        )
    return maps


def _kind_of_roll_up(config: MapCodes) -> str:
    return CATEGORIES if config.roll_up == CATEGORIES else TABLE


def _applied(config: MapCodes, maps: dict[str, CodeMap | None]) -> list[AppliedMap]:
    """What the manifest says of the maps. maps: step → map, as _read_maps gives them."""
    of_step = {
        "map": (GEM, config.from_system, config.to_system),
        "roll_up": (_kind_of_roll_up(config), config.roll_up_from, config.roll_up_to),
    }
    return [
        AppliedMap(*of_step[step], config.one_to_many, code_map.fingerprint)
        if code_map
        else AppliedMap(CATEGORIES)
        for step, code_map in maps.items()
    ]


def _looked_up(rows: DataFrame, code_map: CodeMap | None) -> DataFrame:
    if code_map is None:
        return look_up_category(rows)
    return look_up(rows, rows.sparkSession.createDataFrame(code_map.table), code_map.systems)


def _log(reports: dict[str, dict[str, dict[str, int]]]) -> None:
    for step, periods in reports.items():
        for period, rows in periods.items():
            of_map = sum(rows.values()) - rows[OTHER_SYSTEM]
            if publishable(of_map, of_map):
                said = ", ".join(f"{outcome} {in_words(found)}" for outcome, found in rows.items())
                log.info("%s, %s: rows %s: %s", step, period, in_words(sum(rows.values())), said)


if __name__ == "__main__":
    sys.exit(run_job(MapCodes, main))
