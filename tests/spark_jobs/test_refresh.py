"""Sequences that are refreshed batch by batch are those of one full build."""

import itertools
import os
import random
from dataclasses import replace

import pytest

from schemas.batches import files_since
from schemas.diagnoses import CODE, PATIENT_ID
from schemas.errors import ContractError
from schemas.vocabulary import read_vocabulary
from spark_jobs import preprocess, refresh_sequences
from spark_jobs.build_sequences import BuildSequences
from spark_jobs.build_vocabulary import BuildVocabulary
from spark_jobs.files import replacing
from spark_jobs.files.diagnosis_files import KEYS, are_in
from spark_jobs.files.publish import read_published
from spark_jobs.growth.grown_rows import GrownRows
from spark_jobs.ingest_options import IngestClaims
from spark_jobs.patient_partitions import IS_NEW, patient_partitions
from tests.spark_jobs.pipeline import Run, write_extract

pytestmark = pytest.mark.spark

VISITS = ("discharge_date", "visit_id", "overlap")


class Lake:
    """A run whose claims land in files, with a full build beside it of what it should be."""

    def __init__(self, run: Run, tmp_path, num_partitions: int | None = 3, **options) -> None:
        self.run, self.landing, self.root = run, tmp_path / "landing", tmp_path
        os.makedirs(self.landing)
        self.options = {"min_codes": 3, "num_partitions": num_partitions} | options

    def write(self, name: str, lines: list[str]) -> None:
        write_extract(self.landing / f".{name}", *lines)
        os.rename(self.landing / f".{name}", self.landing / name)

    def land(self, name: str, lines: list[str]) -> None:
        self.write(name, lines)
        self.run.ingest("medbert", str(self.landing), follow="now", settle="0", num_partitions=2)

    def extend(self, **options) -> None:
        old = self.run.path("vocabulary")
        extend = {"extend": old} if os.path.exists(f"{old}/manifest.json") else {}
        self.run.vocabulary(**{"min_patients": 3} | extend | options)

    def sequences(self, refresh: bool = True):
        return self.run.sequences(refresh=refresh, **self.options)

    def full(self, name: str = "full"):
        """A full build from the same diagnoses and vocabulary, in a folder of its own."""
        beside = Beside(self.run.spark, self.run.root, name)
        return beside.sequences(**self.options)


class Beside(Run):
    """The run, with its sequences in another folder."""

    def __init__(self, spark, root: str, name: str) -> None:
        super().__init__(spark, root)
        object.__setattr__(self, "name", name)

    def path(self, folder: str) -> str:
        return super().path(folder if folder != "sequences" else f"sequences_{self.name}")

    def manifest(self, folder: str):
        if folder != "sequences":
            return super().manifest(folder)
        from schemas.manifest import read_manifest

        return read_manifest(self.path(folder), folder, verify=True)


def lines_of(seed: int, rows: int, patients: int = 25) -> list[str]:
    """Overlapping stays, repeated and rare codes, rows of one discharge date with several admissions."""
    rng = random.Random(seed)
    lines = []
    for _ in range(rows):
        month, day, length = rng.randint(1, 3), rng.randint(1, 9), rng.choice([0, 0, 1, 4, 12])
        code = min(rng.randint(10, 99), rng.randint(10, 99), rng.randint(10, 99))
        admit, discharge = f"2014-0{month}-0{day}", f"2014-0{month}-{day + length:02}"
        order = " ".join(rng.choice("12-") for _ in range(3))
        lines.append(f"{rng.randint(1, patients)} {admit} {discharge} ICD10_C{code} {order}")
    return lines


@pytest.mark.parametrize(("seed", "num_partitions"), list(enumerate([2, None, 3])))
def test_any_split_into_batches_is_one_full_build(run, tmp_path, seed, num_partitions):
    """Batches have two parts: those of the sequences, where these have as many, or by default."""
    lake = Lake(run, tmp_path, num_partitions, visits=VISITS[seed])
    lines = lines_of(seed, 300)
    cuts = [0, *sorted(random.Random(seed).sample(range(150, 300), 2)), 300]
    for number, (start, end) in enumerate(itertools.pairwise(cuts)):
        lake.land(f"{number}.tsv", lines[start:end])
        lake.extend()
        refreshed = lake.sequences(refresh=number > 0)
        full = lake.full(f"full{number}")
        assert refreshed.files == full.files
        assert refreshed.counts == full.counts
        assert refreshed.fingerprint == full.fingerprint
    assert len(run.manifest("vocabulary").details["extends"]) == 2
    assert not os.path.exists(f"{run.path('sequences')}/_writing")

    # And of one ingest of the same claims.
    whole = Run(run.spark, str(tmp_path / "whole"))
    whole.ingest("medbert", str(lake.landing))
    os.symlink(run.path("vocabulary"), whole.path("vocabulary"))
    whole.sequences(**lake.options)
    assert run.patients() == whole.patients()


@pytest.fixture
def grown(run, tmp_path):
    """Sequences of a first batch, and a second batch that they do not have yet."""
    lake = Lake(run, tmp_path)
    lake.land("0.tsv", lines_of(0, 150))
    lake.extend()
    lake.sequences(refresh=False)
    lake.land("1.tsv", lines_of(1, 20))
    return lake


@pytest.mark.parametrize("num_partitions", [2, 3], ids=["where they lie", "sent"])
def test_only_the_patients_touched_are_looked_at(grown, num_partitions):
    """The first batch has two parts: into as many its rows stay where they are."""
    source = read_published(grown.run.spark, grown.run.path("diagnoses"), "diagnoses")
    new_files = files_since(source.manifest, source.manifest.details["earlier"][0])
    frame, partitions = patient_partitions(grown.run.spark, source, num_partitions, KEYS, new_files)
    assert sum(len(files) for files in partitions.files) == (4 if num_partitions == 2 else 0)

    def touched(partition):
        rows = GrownRows(partitions.here(partition), "here")
        patients = rows.new_patients()
        yield rows.rows(KEYS, lambda keys: are_in(keys[PATIENT_ID], patients))

    ddl = f"{PATIENT_ID} string, {CODE} string, {IS_NEW} boolean"
    found = frame.mapInArrow(touched, ddl).toArrow().to_pylist()
    new = [line.split(" ")[0] for line in lines_of(1, 20)]
    before = [patient for patient in (line.split(" ")[0] for line in lines_of(0, 150)) if patient in new]
    assert 20 < len(before) < 150
    assert sorted((row[PATIENT_ID], row[IS_NEW]) for row in found) == sorted(
        [*((patient, False) for patient in before), *((patient, True) for patient in new)]
    )


def test_nothing_new_leaves_the_files_as_they_are(grown):
    made = grown.sequences()
    part = f"{grown.run.path('sequences')}/{made.files[0].path}"
    inode = os.stat(part).st_ino
    assert grown.sequences().fingerprint == made.fingerprint
    # A vocabulary that was counted anew, but has no more codes: only the manifest changes.
    grown.extend(min_patients=50)
    again = grown.sequences()
    assert os.stat(part).st_ino == inode
    assert again.files == made.files
    assert again.fingerprint == grown.full().fingerprint


def test_appended_codes_alone_touch_the_patients_who_have_them(grown):
    grown.sequences()
    unknown = grown.run.manifest("sequences").counts["rows_of_unknown_codes"]
    grown.extend(min_patients=1)
    refreshed = grown.sequences()
    assert refreshed.counts["rows_of_unknown_codes"] == 0 < unknown
    assert refreshed.fingerprint == grown.full().fingerprint


@pytest.mark.parametrize("moment", ["publish", "take_over"])
def test_a_refresh_that_is_killed_leaves_the_old_sequences_or_is_finished_later(grown, monkeypatch, moment):
    old = grown.run.manifest("sequences")

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        where = (refresh_sequences, "publish") if moment == "publish" else (replacing.Folder, "rename")
        if moment == "take_over":
            rename, moved = replacing.Folder.rename, []

            def die_after_one(folder, source, target):
                if source.startswith(f"{replacing.NEXT}/split="):
                    if moved:
                        raise KeyboardInterrupt
                    moved.append(source)
                rename(folder, source, target)

            patched.setattr(*where, die_after_one)
        else:
            patched.setattr(*where, die)
        with pytest.raises(KeyboardInterrupt):
            grown.sequences()
    if moment == "publish":
        assert grown.run.manifest("sequences").fingerprint == old.fingerprint
    else:
        with pytest.raises(ContractError, match="has no manifest"):
            grown.run.manifest("sequences")
    assert grown.sequences().fingerprint == grown.full().fingerprint


def test_what_only_a_full_build_can_do_is_refused(grown, tmp_path):
    lake = replace_options(grown, min_codes=1)
    with pytest.raises(ContractError, match=r"the refresh has .*same options"):
        lake.sequences()
    with pytest.raises(ContractError, match="has no manifest"):
        Lake(Run(grown.run.spark, str(tmp_path / "none")), tmp_path / "none").sequences()
    grown.run.vocabulary(min_patients=3, split_salt=None)  # not an extension
    with pytest.raises(ContractError, match="another vocabulary than"):
        grown.sequences()
    grown.sequences(refresh=False)
    other = Run(grown.run.spark, str(tmp_path / "other"))
    other.ingest("medbert", str(grown.landing))
    os.rename(grown.run.path("diagnoses"), grown.run.path("gone"))
    os.symlink(other.path("diagnoses"), grown.run.path("diagnoses"))
    with pytest.raises(ContractError, match="another diagnoses than"):
        grown.sequences()


def replace_options(lake: Lake, **options) -> Lake:
    other = object.__new__(Lake)
    other.__dict__ = lake.__dict__ | {"options": lake.options | options}
    return other


def test_one_program_follows_extends_and_refreshes_the_first_time_and_later(run, tmp_path):
    lake = Lake(run, tmp_path)
    config = preprocess.Preprocess(
        IngestClaims(
            "medbert", str(lake.landing), run.path("diagnoses"), num_partitions=2, follow="now", settle="0"
        ),
        BuildVocabulary(run.path("vocabulary"), run.path("diagnoses"), min_patients=3),
        BuildSequences(run.path("diagnoses"), run.path("vocabulary"), run.path("sequences"), **lake.options),
    )
    for number in range(2):
        lake.write(f"{number}.tsv", lines_of(number, 100))
        preprocess.main(run.spark, config)
        preprocess.main(run.spark, config)  # nothing new
        assert run.manifest("sequences").fingerprint == lake.full(f"full{number}").fingerprint
    assert len(run.manifest("diagnoses").details["batches"]) == 2
    assert len(run.manifest("vocabulary").details["extends"]) == 1

    # A file that has changed, of the first batch: there is nothing to go on from.
    old = list(read_tokens_of(run))
    lake.write("0.tsv", lines_of(7, 120))
    lake.write("2.tsv", lines_of(2, 100))
    again = replace(config, ingest=replace(config.ingest, changed_files="reingest"))
    for _ in range(2):
        preprocess.main(run.spark, again)
        assert run.manifest("sequences").fingerprint == lake.full("again").fingerprint
        assert run.manifest("diagnoses").counts["rows_in"] == 320
    assert read_tokens_of(run)[: len(old)] == old
    lake.write("3.tsv", lines_of(3, 100))
    preprocess.main(run.spark, again)
    assert run.manifest("sequences").fingerprint == lake.full("after").fingerprint


def read_tokens_of(run) -> list[str]:
    return list(read_vocabulary(run.path("vocabulary")).tokens)
