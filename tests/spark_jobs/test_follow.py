"""Claims that are followed: each file once, whatever happens, and the rows of one ingest of all."""

import datetime
import glob
import os
import random
import shutil
import signal
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.batches import files_since
from schemas.claims import CLAIMS
from schemas.errors import ContractError
from schemas.layout import has_whole_patients
from schemas.manifest import read_manifest
from spark_jobs import ingest_claims
from spark_jobs.growth import growing
from spark_jobs.growth.follow_claims import _check_rows_alone
from spark_jobs.growth.follow_claims import follow as follow_claims
from spark_jobs.sources.claims import ClaimsOptions
from spark_jobs.sources.claims_map_file import parse_claims_map
from tests.spark_jobs.pipeline import write_extract

pytestmark = pytest.mark.spark

GOOD = "{patient} 2014-0{month}-01 2014-0{month}-05 ICD10_C{code} 1 1 1"
BAD = "{patient} 2014-0{month}-01 - ICD10_C{code} 1 1 1"


def extract(folder, name: str, seed: int, rows: int = 40) -> None:
    """A file of the original's extract lands in a folder: every tenth row is to be set aside."""
    rng = random.Random(seed)
    lines = [
        (BAD if n % 10 == 0 else GOOD).format(
            patient=rng.randint(1, 15), month=rng.randint(1, 9), code=rng.randint(10, 40)
        )
        for n in range(rows)
    ]
    os.makedirs(folder, exist_ok=True)
    write_extract(folder / f".{name}", *lines)
    os.rename(folder / f".{name}", folder / name)


def rows_of(run, folder: str) -> list[tuple]:
    return sorted(tuple(row.values()) for row in run.rows(folder))


@pytest.fixture
def landing(tmp_path):
    return tmp_path / "landing"


@pytest.fixture
def follow(run, landing):
    """follow(): the next batch; the manifest after it."""
    return lambda **options: run.ingest("medbert", str(landing), **{"follow": "now", "settle": "0"} | options)


def check_equals_one_ingest(run, landing, tmp_path) -> None:
    """The same rows and counts as of one ingest of all files, in diagnoses and rejected."""
    whole = type(run)(run.spark, str(tmp_path / "whole"))
    at_once, followed = whole.ingest("medbert", str(landing)), run.manifest("diagnoses")
    assert dict(followed.counts) == dict(at_once.counts)
    for folder in ("diagnoses", "diagnoses_rejected"):
        assert rows_of(run, folder) == rows_of(whole, folder)
    assert run.manifest("diagnoses_rejected").counts == whole.manifest("diagnoses_rejected").counts


def test_each_file_once_in_the_batch_in_which_it_came(run, follow, landing, tmp_path):
    extract(landing, "a.tsv", 1)
    extract(landing, "b.tsv", 2)
    first = follow()
    assert first.details["batches"] == [{"input_files": ["a.tsv", "b.tsv"], "num_partitions": 1}]
    assert has_whole_patients(first)
    extract(landing, "late.tsv", 3)
    os.utime(landing / "late.tsv", (0, 0))  # copied with its time stamp of long ago
    second = follow()
    assert second.details["batches"][1] == {"input_files": ["late.tsv"], "num_partitions": 1}
    assert not has_whole_patients(second)
    assert {file.path.split("/")[0] for file in second.files} == {"batch=000000", "batch=000001"}
    assert second.counts["rows_in"] == 120
    assert second.counts["rejected"] == {"discharge_date_missing": 12}
    assert follow().fingerprint == second.fingerprint  # nothing came
    check_equals_one_ingest(run, landing, tmp_path)


def test_a_reader_can_tell_what_came_since(follow, landing):
    states = []
    for seed in range(3):
        extract(landing, f"{seed}.tsv", seed)
        states.append(follow())
    new = [file.path for file in files_since(states[2], states[0].fingerprint)]
    assert new == [file.path for file in states[2].files if not file.path.startswith("batch=000000/")]
    assert files_since(states[2], states[2].fingerprint) == ()
    assert files_since(states[1], states[2].fingerprint) is None


def test_later_stages_read_a_patient_of_several_batches(run, follow, landing, tmp_path):
    for seed in range(2):
        extract(landing, f"{seed}.tsv", seed)
        follow()
    run.vocabulary()
    run.sequences()
    whole = type(run)(run.spark, str(tmp_path / "whole"))
    whole.ingest("medbert", str(landing))
    whole.vocabulary()
    whole.sequences()
    assert run.manifest("vocabulary").files == whole.manifest("vocabulary").files
    assert run.patients() == whole.patients()


def test_the_generators_layout(run, tmp_path):
    folder = tmp_path / "raw" / "claims"
    os.makedirs(folder)
    for n in range(2):
        row = dict.fromkeys(CLAIMS.column_names) | {
            "claim_id": f"c{n}", "patient_id": "p1", "setting": "inpatient", "icd_version": 10,
            "admit_date": datetime.date(2020, 1, n + 1), "discharge_date": datetime.date(2020, 1, n + 2),
            "diagnosis_1": "E119",
        }  # fmt: skip
        pq.write_table(pa.Table.from_pylist([row], CLAIMS.arrow), folder / f"part-0000{n}.parquet")
        manifest = run.ingest("claims", str(tmp_path / "raw"), follow="now", settle="0")
    assert manifest.counts["claims_in"] == 2
    assert [row["visit_id"] for row in run.rows("diagnoses")] == ["c0", "c1"]


class Stopped(Exception):
    """Ends a run that would go on."""


@pytest.fixture
def waits(monkeypatch):
    """waits(*events): what happens in each wait of a run, which the next one ends; their seconds."""

    def go(*events) -> list[float]:
        seconds, to_come = [], list(events)

        def wait(length: float) -> None:
            seconds.append(length)
            if not to_come:
                raise Stopped
            to_come.pop(0)()

        monkeypatch.setattr(
            ingest_claims,
            "follow",
            lambda spark, config, normalise: follow_claims(spark, config, normalise, wait),
        )
        return seconds

    return go


def test_an_interval_goes_on_until_it_is_stopped(run, follow, landing, waits):
    extract(landing, "a.tsv", 1)
    seconds = waits(lambda: extract(landing, "b.tsv", 2), lambda: None, lambda: extract(landing, "c.tsv", 3))
    with pytest.raises(Stopped):
        follow(follow="2 minutes")
    assert seconds == [120] * 4
    assert [batch["input_files"] for batch in run.manifest("diagnoses").details["batches"]] == [
        ["a.tsv"],
        ["b.tsv"],
        ["c.tsv"],
    ]


def _half_and_whole(landing, name: str, seed: int):
    """(puts the first half of a file there, writes the rest): as a copy that takes its time."""
    extract(landing.parent / "elsewhere", name, seed)
    text = (landing.parent / "elsewhere" / name).read_text()
    landing.mkdir(exist_ok=True)
    half = text.rindex("\n", 0, len(text) // 2) + 1
    return (
        lambda: (landing / name).write_text(text[:half]),
        lambda: (landing / name).write_text(text),
    )


@pytest.mark.parametrize("interval", ["now", "1 hour"])
def test_a_file_that_is_being_copied_waits_until_it_is_whole(
    run, follow, landing, tmp_path, waits, caplog, interval
):
    begin, end = _half_and_whole(landing, "b.tsv", 2)
    extract(landing, "a.tsv", 1)
    begin()
    if interval == "now":
        assert waits(end) == []
        follow(settle="10 seconds")
        assert "b.tsv in" in caplog.text
        assert "waits for the next look" in caplog.text
        assert [of["input_files"] for of in run.manifest("diagnoses").details["batches"]] == [["a.tsv"]]
        seconds = waits(lambda: None)
        follow(settle="10 seconds")
        assert seconds == [10]
    else:
        seconds = waits(end, lambda: None, lambda: None)
        with pytest.raises(Stopped):
            follow(settle="10 seconds", follow=interval)
        assert seconds == [10, 3600, 10, 3600]
    check_equals_one_ingest(run, landing, tmp_path)


def test_a_file_that_changes_while_it_is_read_is_not_taken(run, follow, landing, tmp_path, monkeypatch):
    begin, end = _half_and_whole(landing, "b.tsv", 2)
    extract(landing, "a.tsv", 1)
    begin()
    write = ingest_claims._write

    def write_while_it_grows(*arguments):
        made = write(*arguments)
        end()
        return made

    with monkeypatch.context() as patched:
        patched.setattr(ingest_claims, "_write", write_while_it_grows)
        manifest = follow()
    assert [of["input_files"] for of in manifest.details["batches"]] == [["a.tsv"]]
    follow()
    check_equals_one_ingest(run, landing, tmp_path)


def test_a_file_that_has_changed_is_reported_or_read_again(run, follow, landing, tmp_path, caplog):
    for name in ("a.tsv", "b.tsv"):
        extract(landing, name, ord(name[0]))
    follow()
    extract(landing, "c.tsv", 3)
    first = follow()
    extract(landing, "a.tsv", 17, rows=50)
    extract(landing, "d.tsv", 4)
    reported = follow()
    assert "a.tsv in" in caplog.text
    assert "--changed_files reingest" in caplog.text
    assert reported.counts["rows_in"] == 160
    again = follow(changed_files="reingest")
    assert [of["input_files"] for of in again.details["batches"]] == [
        [],
        ["c.tsv"],
        ["d.tsv"],
        ["a.tsv", "b.tsv"],
    ]
    check_equals_one_ingest(run, landing, tmp_path)
    assert files_since(again, first.fingerprint) is None
    assert not os.path.exists(f"{run.path('diagnoses')}/batch=000000")
    assert follow(changed_files="reingest").fingerprint == again.fingerprint
    extract(landing, "e.tsv", 5)
    last = follow(changed_files="reingest")
    assert [file.path.split("/")[0] for file in files_since(last, again.fingerprint)] == ["batch=000004"]
    check_equals_one_ingest(run, landing, tmp_path)


def test_a_batch_is_not_read_again_without_all_its_files(run, follow, landing):
    for name in ("a.tsv", "b.tsv"):
        extract(landing, name, ord(name[0]))
    before = follow()
    extract(landing, "a.tsv", 17)
    os.utime(landing / "a.tsv", (1, 1))
    os.remove(landing / "b.tsv")
    with pytest.raises(ContractError, match=r"b\.tsv is not in .* any more"):
        follow(changed_files="reingest")
    assert run.manifest("diagnoses").fingerprint == before.fingerprint


@pytest.mark.parametrize("writes", range(3))
def test_reading_again_is_all_or_nothing(run, follow, landing, tmp_path, monkeypatch, writes):
    """It is killed before the first, second or third of its manifests is written."""
    extract(landing, "a.tsv", 1)
    follow()
    extract(landing, "a.tsv", 17, rows=50)
    left, publish_over = [writes], growing.publish_over

    def publish_or_die(*arguments):
        if not left[0]:
            raise Stopped
        left[0] -= 1
        publish_over(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(growing, "publish_over", publish_or_die)
        with pytest.raises(Stopped):
            follow(changed_files="reingest")
    follow(changed_files="reingest")
    check_equals_one_ingest(run, landing, tmp_path)
    on_disk = glob.glob(f"{run.path('diagnoses_rejected')}/**/*.parquet", recursive=True)
    assert len(on_disk) == len(run.manifest("diagnoses_rejected").files)


@pytest.mark.parametrize(
    "rule",
    [
        "drop_duplicate_lines: true",
        "status: {column: s, reversed: [R]}",
        "birth: {column: b, table: people}",
        "header: {table: h, on: [k]}",
    ],
)
def test_rules_on_several_rows_are_refused(rule):
    plain = "patient: p\nclaim: c\nadmit: [a]\ndischarge: [d]\nsystem: {constant: ICD10CM}\n"
    claims_map = parse_claims_map(f"{plain}diagnoses: {{columns: x}}\n{rule}\n", "map.yaml")
    with pytest.raises(
        ContractError, match=rf"column map has {rule.split(':')[0]}.*Remedy.*without --follow"
    ):
        _check_rows_alone(claims_map)


def test_what_cannot_be_followed(run, follow, landing, tmp_path, project_root):
    with pytest.raises(ContractError, match=r"source omop .* cannot be followed"):
        run.ingest("omop", str(tmp_path), follow="now")
    with pytest.raises(ContractError, match="format delta cannot be followed"):
        follow(format="delta")
    with pytest.raises(ContractError, match="is not a folder"):
        follow()
    with pytest.raises(ContractError, match="follow is often"):
        follow(follow="often")
    with pytest.raises(ContractError, match="settle is a while"):
        follow(settle="a while")
    with pytest.raises(ContractError, match=r"changed_files is \[ignore\]"):
        follow(changed_files="ignore")
    tuva = ClaimsOptions(f"{project_root}/configs/sources/tuva.yaml")
    with pytest.raises(ContractError, match="rows of other batches"):
        run.ingest("claims", str(tmp_path), follow="now", claims=tuva)
    extract(landing, "a.tsv", 1)
    run.ingest("medbert", str(landing))
    with pytest.raises(ContractError, match="ingested in one go"):
        follow()


def test_other_options_or_lost_notes_stop_it_and_change_nothing(run, follow, landing):
    extract(landing, "a.tsv", 1)
    follow()
    extract(landing, "b.tsv", 2)
    manifest = run.manifest("diagnoses")
    with pytest.raises(ContractError, match="same options"):
        follow(as_of="2020-01-01")
    assert run.manifest("diagnoses").fingerprint == manifest.fingerprint
    shutil.rmtree(f"{run.path('diagnoses')}/_follow")
    with pytest.raises(ContractError, match="its own notes"):
        follow()
    os.remove(f"{run.path('diagnoses')}/manifest.json")
    os.makedirs(f"{run.path('diagnoses')}/_follow/commits")
    open(f"{run.path('diagnoses')}/_follow/commits/0", "w").close()
    with pytest.raises(ContractError, match="batches were written there"):
        follow()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["while writing", "before the manifest", "after the manifest"])
def test_a_batch_that_is_killed_loses_and_doubles_nothing(
    run, follow, landing, tmp_path, project_root, moment
):
    extract(landing, "a.tsv", 1)
    follow()
    extract(landing, "b.tsv", 2)
    script = f"{project_root}/tests/spark_jobs/follow_process.py"
    done = subprocess.run(
        [sys.executable, script, str(landing), run.root, moment],
        env=os.environ | {"PYTHONPATH": project_root, "PYSPARK_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]
    commits = glob.glob(f"{run.path('diagnoses')}/_follow/commits/[0-9]*")
    assert len(commits) == 1
    assert len(read_manifest(run.path("diagnoses"), "diagnoses").details["batches"]) == (
        2 if moment == "after the manifest" else 1
    )
    extract(landing, "c.tsv", 3)
    manifest = follow()
    assert [file for batch in manifest.details["batches"] for file in batch["input_files"]] == [
        "a.tsv",
        "b.tsv",
        "c.tsv",
    ]
    check_equals_one_ingest(run, landing, tmp_path)
    for folder in ("diagnoses", "diagnoses_rejected"):
        on_disk = glob.glob(f"{run.path(folder)}/**/*.parquet", recursive=True)
        assert len(on_disk) == len(run.manifest(folder).files)
