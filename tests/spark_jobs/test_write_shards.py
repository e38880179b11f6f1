import pyarrow.parquet as pq
import pytest

from schemas.errors import ContractError
from schemas.shards import SHARDS, read_shard_set
from spark_jobs.write_shards import WriteShards, main
from tests.spark_jobs.files.test_tf_example import read_with_tensorflow
from tests.spark_jobs.pipeline import write_extract

pytestmark = pytest.mark.spark


@pytest.fixture
def sequenced(run, tmp_path):
    """40 patients of one visit each, and 1 to 4 codes; in the splits by the default salt."""
    lines = [
        f"{patient} 2014-03-01 2014-03-{1 + patient % 20:02d} ICD10_C{10 + code} {code} 1 1"
        for patient in range(40)
        for code in range(1 + patient % 4)
    ]
    run.ingest("medbert", write_extract(tmp_path / "x.tsv", *lines))
    run.vocabulary()
    run.sequences()
    return run


def _write(run, **options):
    main(run.spark, WriteShards(run.path("sequences"), run.path("vocabulary"), run.path("shards"), **options))


@pytest.mark.slow
def test_both_formats_hold_the_same_rows_in_the_same_order(sequenced):
    _write(sequenced, min_shards=3)
    for split in ("train", "test"):
        folder = sequenced.path(f"shards/{split}")
        parquet, tfrecord = (read_shard_set(folder, form, verify=True) for form in ("parquet", "tfrecord"))
        assert len(parquet.files) == len(tfrecord.files) == 3
        tables = [pq.ParquetFile(f"{folder}/{file.path}").read() for file in parquet.files]
        assert tables[0].column_names == list(SHARDS.column_names)
        assert [table.num_rows for table in tables] == [file.rows for file in parquet.files]
        assert [file.rows for file in parquet.files] == [file.rows for file in tfrecord.files]
        rows = [
            [*map(list, list(row.values())[:2]), [row["prolonged_los"]]]
            for t in tables
            for row in t.to_pylist()
        ]
        names = [f"{folder}/{file.path}" for file in tfrecord.files]
        assert read_with_tensorflow(names, list(SHARDS.column_names)) == rows


def test_the_manifest_describes_the_split(sequenced):
    _write(sequenced, formats=["parquet"])
    vocabulary, sequences = sequenced.manifest("vocabulary"), sequenced.manifest("sequences")
    shards = read_shard_set(sequenced.path("shards/train"), "parquet")
    patients = [
        pq.ParquetFile(f"{sequenced.path('sequences')}/{file.path}").read()
        for file in sequences.files
        if file.path.startswith("split=train/")
    ]
    lengths = [len(tokens) for table in patients for tokens in table["token_ids"].to_pylist()]
    assert shards.num_patients == len(lengths) == sequences.counts["patients"]["train"]
    assert shards.num_codes == sum(lengths)
    assert shards.length_histogram == {length: lengths.count(length) for length in sorted(set(lengths))}
    assert shards.max_visits == 1
    assert shards.vocabulary_fingerprint == vocabulary.fingerprint
    assert shards.vocabulary_size == vocabulary.files[0].rows
    assert shards.special_tokens == {"pad": 0, "unk": 1, "cls": 2, "mask": 3}
    manifest = sequenced.manifest("shards/train")
    assert manifest.inputs == {"sequences": sequences.fingerprint, "vocabulary": vocabulary.fingerprint}
    assert manifest.parameters["seed"] == 0
    assert manifest.parameters["split"] == "train"


def test_a_second_run_gives_the_same_bytes_and_leaves_no_old_part(sequenced):
    _write(sequenced, min_shards=4)
    first = sequenced.manifest("shards/train")
    _write(sequenced, min_shards=9)
    _write(sequenced, min_shards=4)
    assert sequenced.manifest("shards/train").fingerprint == first.fingerprint
    listed = {file.path for file in first.files}
    assert {entry.path for entry in _files(sequenced, "shards/train")} == listed | {"manifest.json"}


def _files(run, folder):
    from spark_jobs.files.storage import Folder

    return Folder(run.spark, run.path(folder)).files()


def test_an_empty_split_is_a_manifest_without_files(run, tmp_path, caplog):
    run.ingest("medbert", write_extract(tmp_path / "x.tsv", "1 2014-03-01 2014-03-02 ICD9_250.00 6 1 0"))
    run.vocabulary()
    run.sequences()
    _write(run)
    assert read_shard_set(run.path("shards/valid"), "parquet").num_patients == 0
    assert "the valid split has no patients" in caplog.text
    assert [entry.path for entry in _files(run, "shards/valid")] == ["manifest.json"]


def test_another_vocabulary_is_refused(sequenced):
    sequenced.vocabulary(min_patients=2)
    with pytest.raises(ContractError, match="made with another vocabulary"):
        _write(sequenced)


@pytest.mark.parametrize(
    "options", [{"formats": ["orc"]}, {"formats": []}, {"rows_per_shard": 0}, {"min_shards": 0}]
)
def test_bad_options(spark, options):
    with pytest.raises(ContractError):
        main(spark, WriteShards("a", "b", "c", **options))
