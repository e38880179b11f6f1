"""What ingest_claims can be told, whole or batch by batch."""

from __future__ import annotations

from dataclasses import dataclass, field

from spark_jobs.sources.claims import ClaimsOptions
from spark_jobs.sources.meds import MedsOptions
from spark_jobs.sources.omop import OmopOptions


@dataclass(frozen=True)
class IngestClaims:
    """Normalise raw claims; set bad rows aside.

    Args:
        source: medbert, omop, claims or meds.
        input: the raw file or folder; with --format table, jdbc or iceberg a table, or the schema it is in.
        output: folder for the diagnoses.
        rejected: folder for rows set aside; by default beside the output, `<output>_rejected`.
        format: of Spark (csv, parquet, orc, delta, iceberg, jdbc, …), or `table` for a table of the catalog;
            without it, by file extension.
        format_options: of that format, e.g. '{sep: "|"}'. They appear in no manifest.
        as_of: the day of the extract, YYYY-MM-DD: what is discharged later is set aside. Without it, no date
            is too late: de-identified data may lie in the future.
        follow: take in only those files of claims that were not there before, each once. `now`: those that
            have come by now; an interval, e.g. `10 minutes`: go on, and look so often, until stopped.
        settle: with follow, how long after a first look at new files a second one decides that they are there
            whole, having the same size and time: `10 seconds`; `0` needs no second look. A file that is not
            yet whole waits for the next look, or the next run.
        changed_files: with follow, what becomes of a file that has changed since it was read: `report`, its
            rows stay as they were; or `reingest`, its batch is read again and takes the old one's place.
        max_patients: ingest this number of patients, those of the smallest hash (transforms.subset): the same
            in every run. Rows of the others are counted as `rows_of_patients_left_out`. Counts of the raw
            tables, e.g. `persons_unknown`, are of all patients. Not with follow.
        num_partitions: into how many files patients are shuffled; the later stages work file by file. By
            default one for each 250,000 rows of the input, so it does not depend on the cluster.
        shared_group: a group of this machine whose members may read the output; without it, its owner alone.
        omop: options of source omop.
        claims: options of source claims.
        meds: options of source meds.
    """

    source: str
    input: str
    output: str
    rejected: str | None = None
    format: str | None = None
    format_options: dict[str, bool | int | str] = field(default_factory=dict)
    as_of: str | None = None
    follow: str | None = None
    settle: str = "10 seconds"
    changed_files: str = "report"
    max_patients: int | None = None
    num_partitions: int | None = None
    shared_group: str | None = None
    omop: OmopOptions = field(default_factory=OmopOptions)
    claims: ClaimsOptions = field(default_factory=ClaimsOptions)
    meds: MedsOptions = field(default_factory=MedsOptions)

    @property
    def aside(self) -> str:
        """The folder for rows set aside."""
        return self.rejected or f"{self.output.rstrip('/')}_rejected"
