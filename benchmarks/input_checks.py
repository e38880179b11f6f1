"""What it costs to compare the SHA-256 of each file as it is read, and the checksums of its pages.

    python -m benchmarks.input_checks --patients 40000

One process, shards and tables made on the spot and in the page cache. CPU seconds of one core, the least of
so many rounds, in which the same work is done with and without the checks, in turn. Input of training is all
from the file to the packed step. Of a Spark task it is all from the file to what the task hands on: sequences
of diagnoses; pieces of shards of sequences.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from unittest.mock import patch

import numpy as np
import pyarrow as pa

from benchmarks.train.shards import ROWS_PER_SHARD, random_rows, write_split, write_vocabulary
from schemas import parquet
from schemas.diagnoses import CODE, DIAGNOSES, PATIENT_ID
from schemas.manifest import describe_file
from schemas.sequences import BY_DISCHARGE_DATE, SEQUENCES
from schemas.table import TableSchema
from schemas.vocabulary import STANDARD_SPECIAL_TOKENS, read_vocabulary
from spark_jobs.files.diagnosis_files import read_rows
from spark_jobs.files.listed_tables import ListedFile
from spark_jobs.files.part_formats import MeasuredFile, ParquetPart
from spark_jobs.files.sequence_files import SequenceFile
from spark_jobs.patient_rows import PatientRows
from spark_jobs.transforms.sequences import AssembleSequences, Codebook, columns_needed
from spark_jobs.transforms.shuffle import SHARD_COLUMNS, places_of, to_shards
from trainer.config import MaskingConfig
from trainer.core.input.order import Position
from trainer.core.input.slots import pack_batch
from trainer.core.input.training_input import BatchMaker, training_input
from trainer.readers import FILE_FORMATS, open_reader

VOCABULARY_SIZE = 30_000
BATCH_SIZE = 4_096
MAX_SEQ_LENGTH = 512
_HASHED_BYTES = 64 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--patients", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print(f"SHA-256: {hash_speed() / 1e6:.0f} MB/s")
    print("| input | bytes | seconds without | with | the checks' share |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (size, work) in workloads(folder, options.patients).items():
            without, with_checks = measured(work, options.rounds)
            share = (with_checks - without) / with_checks
            print(f"| {name} | {size:,} | {without:.4f} | {with_checks:.4f} | {share:.1%} |", flush=True)


def hash_speed() -> float:
    """Bytes a second."""
    content = bytes(_HASHED_BYTES)
    started = time.process_time()
    hashlib.sha256(content).hexdigest()
    return _HASHED_BYTES / (time.process_time() - started)


def workloads(folder: str, patients: int) -> Mapping[str, tuple[int, Callable[[], object]]]:
    """Name → bytes that are read, and the work."""
    fingerprint = write_vocabulary(f"{folder}/vocabulary", VOCABULARY_SIZE)
    write_split(f"{folder}/train", patients, VOCABULARY_SIZE, fingerprint, seed=0)
    found: dict[str, tuple[int, Callable[[], object]]] = {}
    for name in FILE_FORMATS:
        shards = open_reader(name, f"{folder}/train").shards
        work = partial(one_epoch, name, folder, patients)
        found[f"training, {name}"] = (sum(file.bytes for file in shards.files), work)
    diagnoses = write_table(folder, "diagnoses", DIAGNOSES, random_diagnoses(250_000))
    sequences = write_table(folder, "sequences", SEQUENCES, random_sequences(patients))
    tokens = read_vocabulary(f"{folder}/vocabulary").tokens
    found["diagnoses to sequences"] = diagnoses.file.bytes, partial(sequences_of, diagnoses, tokens)
    found["sequences to shards"] = sequences.file.bytes, partial(pieces_of, sequences)
    return found


def sequences_of(diagnoses: ListedFile, tokens: tuple[str, ...]) -> None:
    """As build_sequences does it in a task."""
    codebook = Codebook(tokens, STANDARD_SPECIAL_TOKENS)
    task = AssembleSequences(
        PatientRows(diagnoses.path), codebook, 1, "salt", 4, BY_DISCHARGE_DATE, diagnoses.path
    )
    rows = read_rows(diagnoses, columns_needed(BY_DISCHARGE_DATE), (CODE,))
    for _ in task.pieces(rows):
        pass


def pieces_of(sequences: ListedFile) -> None:
    """As write_shards does it in a task."""
    file = SequenceFile(sequences)
    held = list(file.read(SHARD_COLUMNS))
    places = [places_of(rows[PATIENT_ID], "train", 0) for rows in held]
    first = np.sort(np.concatenate(places))[::ROWS_PER_SHARD]
    for _ in to_shards(pa.concat_batches(held), np.concatenate(places), first):
        pass


def one_epoch(reader: str, folder: str, patients: int) -> None:
    """Every step's input, from the files to packed rows."""
    vocabulary = read_vocabulary(f"{folder}/vocabulary")
    maker = BatchMaker.of(MaskingConfig(), vocabulary, MAX_SEQ_LENGTH)
    steps = training_input(
        open_reader(reader, f"{folder}/train"),  # type: ignore[arg-type]
        maker,
        0,
        0,
        Position.start(0, patients, 1, BATCH_SIZE),
        partial(pack_batch, max_slots=None),
    )
    for _ in range(-(-patients // BATCH_SIZE)):
        next(steps)


def measured(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Least CPU seconds without and with the checks."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    work()
    for _ in range(rounds):
        for checks in (False, True):
            with ExitStack() as stack:
                if not checks:
                    stack.enter_context(no_checks())
                started = time.process_time()
                work()
                seconds[checks].append(time.process_time() - started)
    return min(seconds[False]), min(seconds[True])


@contextmanager
def no_checks() -> Iterator[None]:
    """Files are read, and neither hashed nor are their pages' checksums compared."""
    nothing = {"page_checksum_verification": False}
    with (
        patch("schemas.manifest.check_content"),
        patch("schemas.manifest.check_inside"),
        patch("trainer.readers.base.check_content"),
        patch("trainer.readers.base.check_inside"),
        patch.object(parquet, "READ_OPTIONS", nothing),
        patch("trainer.readers.arrow.READ_OPTIONS", nothing),
        patch("trainer.readers.petastorm.READ_OPTIONS", nothing),
    ):
        yield


def write_table(folder: str, name: str, schema: TableSchema, rows: pa.RecordBatch) -> ListedFile:
    """One file, as the stages write it."""
    with open(f"{folder}/{name}.parquet", "wb") as stream, MeasuredFile(stream) as file:
        part = ParquetPart(file, schema.arrow)
        part.write(rows)
        part.close()
    return ListedFile(folder, folder, describe_file(folder, f"{name}.parquet", rows.num_rows))


def random_diagnoses(rows: int) -> pa.RecordBatch:
    """Sorted by patient, 25 rows each, three a visit."""
    chance = np.random.default_rng(0)
    patients = np.arange(rows) // 25
    visits = np.arange(rows) // 3
    codes = np.char.add("ICD10CM//X", np.char.zfill(chance.zipf(1.3, rows).clip(max=29_000).astype(str), 5))
    days = 15_000 + chance.integers(0, 4_000, rows // 3 + 1)[visits]
    columns = {
        "patient_id": np.char.zfill(patients.astype(str), 9),
        "visit_id": np.char.add("v", (visits * 7919 % 10_000_019).astype(str)),
        "admit_date": pa.array(days.astype(np.int32)).cast(pa.date32()),
        "discharge_date": pa.array(days.astype(np.int32) + 2).cast(pa.date32()),
        "code": codes,
        "order_1": np.arange(rows, dtype=np.int32) % 3,
        "order_2": pa.nulls(rows, pa.int32()),
        "order_3": pa.nulls(rows, pa.int32()),
    }
    return pa.RecordBatch.from_pydict(columns, schema=DIAGNOSES.arrow)


def random_sequences(patients: int) -> pa.RecordBatch:
    """Codes as in the shards; a third as many visits as codes."""
    shards = random_rows(np.random.default_rng(0), patients, VOCABULARY_SIZE)
    tokens, numbers = shards["token_ids"], shards["visit_numbers"]
    visits = np.asarray([number[-1] for number in numbers.to_pylist()])
    offsets = pa.array(np.concatenate([[0], np.cumsum(visits)]).astype(np.int32))
    chance = np.random.default_rng(1)

    def each_visit(low: int, high: int) -> pa.Array:
        return pa.array(chance.integers(low, high, visits.sum()).astype(np.int32))

    dates = each_visit(15_000, 19_000).cast(pa.date32())
    columns = [
        pa.array(np.char.zfill(np.arange(patients).astype(str), 9)),
        tokens,
        numbers,
        pa.ListArray.from_arrays(offsets, dates),
        pa.ListArray.from_arrays(offsets, dates),
        pa.ListArray.from_arrays(offsets, each_visit(0, 12)),
        pa.ListArray.from_arrays(offsets, each_visit(0, 200)),
        pa.array(chance.random(patients) < 0.2),
    ]
    return pa.RecordBatch.from_arrays(columns, names=list(SEQUENCES.column_names)).cast(SEQUENCES.arrow)


if __name__ == "__main__":
    main()
