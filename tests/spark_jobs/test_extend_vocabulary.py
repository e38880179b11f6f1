"""A vocabulary with codes appended: ids never change, counts are anew."""

import logging
import os
import pickle
import random

import pyarrow.parquet as pq
import pytest

from schemas.errors import ContractError
from schemas.manifest import read_manifest
from schemas.vocabulary import KIND, read_vocabulary, size_when
from spark_jobs import build_vocabulary, vocabulary_counting
from spark_jobs.build_vocabulary import BuildVocabulary
from spark_jobs.files import replacing
from tests.spark_jobs.pipeline import write_extract
from tests.spark_jobs.reference import split_of

pytestmark = pytest.mark.spark

TRAIN = [str(n) for n in range(200) if split_of("medbert-lake", str(n)) == "train"]
FIRST = {"E119": 4, "I10": 3, "C50": 2, "C25": 1}  # code → patients
# Two new codes reach the minimum, one of them of the first extract; C50 loses a patient.
LATER = {"E119": 4, "I10": 5, "C50": 1, "C25": 2, "J45": 3, "K50": 1}


def _ingest(run, tmp_path, patients_of: dict[str, int]):
    lines = [
        f"{patient} 2014-03-01 2014-03-01 ICD10_{code} 1 1 1"
        for code, number in patients_of.items()
        for patient in TRAIN[:number]
    ]
    return run.ingest("medbert", write_extract(tmp_path / "x.tsv", *lines))


def _table(folder: str) -> list[tuple]:
    """(token, num_patients) of the codes, by id."""
    rows = pq.read_table(f"{folder}/vocabulary.parquet").to_pylist()
    assert [row["token_id"] for row in rows] == list(range(len(rows)))
    return [(row["token"].removeprefix("ICD10CM//"), row["num_patients"]) for row in rows[4:]]


@pytest.fixture
def first(run, tmp_path):
    _ingest(run, tmp_path, FIRST)
    run.vocabulary(min_patients=2)
    _ingest(run, tmp_path, LATER)
    return run


def _extend(run, name: str, **options):
    config = BuildVocabulary(run.path(name), run.path("diagnoses"), **{"min_patients": 2} | options)
    build_vocabulary.main(run.spark, config)
    return read_manifest(run.path(name), KIND, verify=True)


def test_ids_stay_and_new_codes_follow_in_the_usual_order(first):
    old = first.manifest("vocabulary")
    manifest = _extend(first, "extended", extend=first.path("vocabulary"))
    assert _table(first.path("vocabulary")) == [("E11.9", 4), ("I10", 3), ("C50", 2)]
    assert _table(first.path("extended")) == [
        ("E11.9", 4),
        ("I10", 5),
        ("C50", 1),
        ("J45", 3),
        ("C25", 2),
    ]
    before, now = (read_vocabulary(first.path(name)) for name in ("vocabulary", "extended"))
    assert now.tokens[: len(before)] == before.tokens
    assert manifest.inputs == {
        "diagnoses": first.manifest("diagnoses").fingerprint,
        "vocabulary_extended": old.fingerprint,
    }
    assert manifest.counts == {
        "rows_in": 16,
        "rows_of_training_split": 16,
        "codes": 5,
        "codes_appended": 2,
        "codes_kept_below_minimum": 1,
        "codes_dropped": 1,
        "rows_of_codes_dropped": 1,
    }
    assert manifest.parameters["min_patients"] == 2
    assert manifest.details["min_patients"] is None  # C50 has one


def test_a_chain_tells_the_size_of_each_vocabulary_in_it(first):
    sizes = {first.manifest("vocabulary").fingerprint: 7}
    one = _extend(first, "one", extend=first.path("vocabulary"))
    two = _extend(first, "two", extend=first.path("one"), min_patients=1)
    sizes |= {one.fingerprint: 9, two.fingerprint: 10}
    assert {found: size_when(two, 10, found) for found in sizes} == sizes
    assert size_when(two, 10, "0" * 64) is None
    assert size_when(one, 9, two.fingerprint) is None


def test_codes_that_fell_below_the_small_cell_rule_are_told(first, caplog):
    with caplog.at_level(logging.WARNING, logger="spark_jobs.vocabulary_counting"):
        _extend(first, "extended", extend=first.path("vocabulary"))
    assert "ids never change" in caplog.text


def test_an_extension_in_place_and_again_without_anything_new(first):
    manifest = _extend(first, "vocabulary", extend=first.path("vocabulary"))
    assert len(_table(first.path("vocabulary"))) == 5
    again = _extend(first, "vocabulary", extend=first.path("vocabulary"))
    assert again.fingerprint == manifest.fingerprint


def test_an_extension_that_is_killed_in_place_leaves_the_old_or_is_finished_later(first, monkeypatch):
    old = first.manifest("vocabulary")
    extend = {"extend": first.path("vocabulary")}
    with monkeypatch.context() as patched:
        patched.setattr(build_vocabulary, "take_over", lambda *_: None)
        _extend(first, "vocabulary", **extend)
    assert first.manifest("vocabulary").fingerprint == old.fingerprint
    with monkeypatch.context() as patched:
        renames = iter([True, False])
        rename = replacing.Folder.rename

        def dies_at_the_second(folder, *names):
            if not next(renames):
                raise KeyboardInterrupt
            rename(folder, *names)

        patched.setattr(replacing.Folder, "rename", dies_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            replacing.take_over(first.spark, first.path("vocabulary"), KIND)
    with pytest.raises(ContractError, match="has no manifest"):
        first.manifest("vocabulary")
    assert len(_extend(first, "vocabulary", **extend).details["extends"]) == 1
    assert len(_table(first.path("vocabulary"))) == 5


def test_an_imported_vocabulary_can_be_extended(first, tmp_path):
    (tmp_path / "x.types").write_bytes(pickle.dumps({"empty_pad": 0, "ICD10_I10": 1, "ICD10_Z99": 2}))
    imported = BuildVocabulary(first.path("imported"), types=str(tmp_path / "x.types"))
    build_vocabulary.main(first.spark, imported)
    _extend(first, "extended", extend=first.path("imported"))
    vocabulary = read_vocabulary(first.path("extended"))
    assert [token.removeprefix("ICD10CM//") for token in vocabulary.tokens] == [
        "[PAD]", "I10", "Z99", "E11.9", "J45", "C25",
    ]  # fmt: skip
    assert vocabulary.special == read_vocabulary(first.path("imported")).special


def test_another_salt_or_a_types_file_is_refused(first):
    extend = first.path("vocabulary")
    with pytest.raises(ContractError, match="never change sides"):
        _extend(first, "extended", extend=extend, split_salt="another")
    config = BuildVocabulary(first.path("extended"), types="x.types", extend=extend)
    with pytest.raises(ContractError, match="both types"):
        build_vocabulary.main(first.spark, config)


@pytest.mark.parametrize("min_patients", [1, 3])
def test_diagnoses_that_grew_are_counted_as_though_anew(run, tmp_path, min_patients, monkeypatch):
    """Codes that are kept, dropped, new, below by now, and patients of several batches and splits."""
    rng = random.Random(min_patients)
    landing = tmp_path / "landing"
    os.makedirs(landing)
    for batch in range(3):
        lines = [
            f"{rng.randint(1, 40)} 2014-03-01 2014-03-01 ICD10_C{rng.randint(10, rng.randint(10, 60))} 1 1 1"
            for _ in range(80)
        ]
        write_extract(landing / f"{batch}.tsv", *lines)
        run.ingest("medbert", str(landing), follow="now", settle="0")
        extend = {"extend": run.path("vocabulary")} if batch else {}
        if batch:
            with monkeypatch.context() as patched:
                patched.setattr(vocabulary_counting, "count_since", lambda *_: None)
                _extend(run, "anew", min_patients=min_patients, **extend)
        run.vocabulary(min_patients=min_patients, **extend)
        if batch:
            anew, since = read_manifest(run.path("anew"), KIND), run.manifest("vocabulary")
            assert (anew.files, anew.counts) == (since.files, since.counts)
    assert anew.counts["rows_in"] == 240


def test_partitions_without_news_add_nothing(run, tmp_path):
    """One new row among 4 partitions; then none at all, though another minimum counts the codes again."""
    landing = tmp_path / "landing"
    os.makedirs(landing)
    line = "{} 2014-03-01 2014-03-01 ICD10_I10 1 1 1"
    extend, found = {}, []
    for batch, patients in enumerate([TRAIN[:20], TRAIN[:1]]):
        write_extract(landing / f"{batch}.tsv", *(line.format(patient) for patient in patients))
        run.ingest("medbert", str(landing), follow="now", settle="0", num_partitions=4)
        for min_patients in (2, 3):
            run.vocabulary(min_patients=min_patients, **extend)
            extend = {"extend": run.path("vocabulary")}
            rows = pq.read_table(f"{run.path('vocabulary')}/vocabulary.parquet").to_pylist()
            found.append([tuple(row.values())[1:] for row in rows[4:]])
    assert found == [[("ICD10CM//I10", 20, 20)]] * 2 + [[("ICD10CM//I10", 20, 21)]] * 2
