import pytest

from schemas.batches import first_num_partitions, num_partitions_of
from schemas.errors import ContractError
from schemas.manifest import Manifest, ManifestFile


def _grown(*batches: dict) -> tuple[Manifest, ManifestFile]:
    file = ManifestFile(f"batch={len(batches) - 1:06d}/part-00000.parquet", 1, 1, "")
    return Manifest("diagnoses", files=(file,), details={"batches": list(batches), "earlier": []}), file


def test_parts_of_each_batch():
    manifest, file = _grown(*({"input_files": [], "num_partitions": number} for number in (3, 4)))
    assert (first_num_partitions(manifest), num_partitions_of(manifest, file)) == (3, 4)


def test_a_batch_that_does_not_say_its_parts_is_refused():
    manifest, file = _grown({"input_files": []})
    for ask in (lambda: first_num_partitions(manifest), lambda: num_partitions_of(manifest, file)):
        with pytest.raises(ContractError, match=r"num_partitions in batch 0.*ingest anew"):
            ask()
