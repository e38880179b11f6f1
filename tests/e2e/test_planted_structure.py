"""Does a model find what the generator planted, and nothing where there is nothing to find?

The disease model puts codes of one condition and of its comorbidities into one patient. A trained model
must tell a masked code better than both baselines. After the codes are dealt out anew among all patients,
nothing but the codes' frequencies is left: a model that still beat the baselines would be seeing its own
labels.
"""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.manifest import Manifest, describe_file, publish_manifest, read_manifest, unpublish
from schemas.shards import KIND as SHARDS_KIND
from tests.e2e.conftest import last_evaluation

pytestmark = pytest.mark.timeout(1800)  # two trainings: a minute each, but many on a busy machine

PATIENTS = 6_000
TRAIN_ARGS = "--steps 400 --batch_size 128 --eval_every 200 --checkpoint_every 400 --eval_patients null"


@pytest.fixture(scope="module")
def run(make, tmp_path_factory) -> str:
    folder = str(tmp_path_factory.mktemp("planted"))
    make("claims", "preprocess", RUN=folder, PATIENTS=PATIENTS, FORMATS="[parquet]")
    return folder


def train(make, run: str) -> dict[str, float]:
    make("pretrain", RUN=run, CONFIG="configs/demo.yaml", TRAIN_ARGS=TRAIN_ARGS)
    return last_evaluation(f"{run}/pretrain")


def deal_codes_out_anew(source: str, target: str) -> None:
    """Copy a split's shards with every code moved to a random place of the whole split; lengths stay."""
    manifest = read_manifest(source, SHARDS_KIND)
    tables = [pq.read_table(os.path.join(source, file.path)) for file in manifest.files]
    lists = [table["token_ids"].combine_chunks() for table in tables]
    codes = np.random.default_rng(7).permutation(
        np.concatenate([column.values.to_numpy() for column in lists])
    )
    os.makedirs(target)
    unpublish(target)
    files, start = [], 0
    for file, table, column in zip(manifest.files, tables, lists, strict=True):
        stop = start + len(column.values)
        dealt = pa.ListArray.from_arrays(column.offsets, pa.array(codes[start:stop], pa.int32()))
        place = table.schema.get_field_index("token_ids")
        pq.write_table(
            table.set_column(place, table.schema.field(place), dealt), os.path.join(target, file.path)
        )
        files.append(describe_file(target, file.path, file.rows))
        start = stop
    publish_manifest(target, Manifest(**{**vars(manifest), "files": tuple(files)}))


def test_the_model_finds_what_was_planted(make, run):
    found = train(make, run)
    best_baseline = max(found["most_frequent_top_10"], found["other_visits_top_10"])
    assert found["top_10"] > best_baseline + 0.05, found
    assert found["los_auc"] > 0.6, found


def test_the_model_finds_nothing_among_shuffled_codes(make, run, tmp_path):
    shuffled = str(tmp_path / "shuffled")
    for split in ("train", "valid"):
        deal_codes_out_anew(f"{run}/shards/{split}", f"{shuffled}/shards/{split}")
    make(
        "pretrain",
        RUN=shuffled,
        VOCABULARY=f"{run}/vocabulary",
        CONFIG="configs/demo.yaml",
        TRAIN_ARGS=TRAIN_ARGS,
    )
    found = last_evaluation(f"{shuffled}/pretrain")
    assert found["top_10"] < max(found["most_frequent_top_10"], found["other_visits_top_10"]) + 0.01, found
