import numpy as np
import pytest

from schemas.errors import ContractError
from tests.trainer.small_models import make_batch
from trainer.core.backend import Predictions, StepResult, StepTotals
from trainer.core.backend_rules import (
    dropout_seed,
    gpu_of,
    in_batch_order,
    is_decayed,
    step_result,
    threads_per_process,
    vocabulary_head_chunks,
)
from trainer.core.input.slots import pack_batch
from trainer.core.world import World


def test_biases_and_layer_norms_are_not_decayed():
    assert is_decayed("bert/embeddings/word_embeddings")
    assert is_decayed("bert/encoder/layer_0/attention/self/query/kernel")
    assert is_decayed("cls/seq_relationship/output_weights")
    assert not is_decayed("bert/encoder/layer_0/attention/self/query/bias")
    assert not is_decayed("bert/encoder/layer_0/output/LayerNorm/gamma")
    assert not is_decayed("cls/predictions/output_bias")


def test_each_block_of_each_rank_and_step_has_its_own_dropout():
    seeds = {dropout_seed(*place) for place in np.ndindex(3, 4, 2, 3)}
    assert len(seeds) == 3 * 4 * 2 * 3
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert dropout_seed(1, 2, 3, 4) == dropout_seed(1, 2, 3, 4)


def test_chunks_cover_the_masked_slots_in_order():
    assert vocabulary_head_chunks(0, 100) == []
    chunks = vocabulary_head_chunks(1000, 82_603)
    assert [slot for chunk in chunks for slot in range(1000)[chunk]] == list(range(1000))
    assert max(chunk.stop - chunk.start for chunk in chunks) * 82_603 <= 1 << 24
    assert len(vocabulary_head_chunks(3, 1 << 30)) == 3


def test_predictions_of_packed_patients_are_put_in_the_batch_s_order():
    batch = make_batch(seed=1, patients=60, length=30)
    pieces = [piece for part in pack_batch(batch, max_slots=256).parts for piece in part]
    assert len(pieces) > 2
    assert np.concatenate([piece.patients for piece in pieces]).tolist() != list(range(60))

    def named(pieces):
        """A part's predictions name the patients and the masked codes that they are of."""
        masked = np.concatenate([piece.masked for piece in pieces])
        patients = np.concatenate([piece.patients for piece in pieces])
        return Predictions(1.0, 0.25, np.stack([masked, -masked], axis=1), patients / 2)

    found = in_batch_order(batch, ((pieces, named(pieces)) for pieces in (pieces[:1], pieces[1:])))
    assert (found.mlm_loss_sum, found.los_loss_sum) == (2.0, 0.5)
    assert found.prolonged_los_score.tolist() == [patient / 2 for patient in range(60)]
    codes = np.arange(len(batch.masked))
    np.testing.assert_array_equal(found.top_codes[:, :2], np.stack([codes, -codes], axis=1))
    assert (found.top_codes[:, 2:] == -1).all()  # two codes are all that this vocabulary has
    assert (found.top_codes.shape[1], found.top_codes.dtype) == (10, np.int32)


def test_losses_are_means_and_a_finite_step_is_applied():
    assert step_result(6.0, 1.5, 0.5, StepTotals(masked_codes=4, patients=3)) == StepResult(
        mlm_loss=1.5, los_loss=0.5, gradient_norm=0.5, applied=True
    )
    assert step_result(0.0, 0.0, 0.0, StepTotals(0, 0)) == StepResult(0.0, 0.0, 0.0, applied=True)


@pytest.mark.parametrize("place", range(3), ids=["code loss", "stay loss", "gradient norm"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_step_that_is_not_finite_is_not_applied(place, bad):
    sums = [1.0, 1.0, 1.0]
    sums[place] = bad
    assert not step_result(*sums, StepTotals(2, 2)).applied


def test_processes_of_one_host_share_its_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setenv("HOROVOD_LOCAL_SIZE", "3")
    assert threads_per_process() == 2
    monkeypatch.setenv("HOROVOD_LOCAL_SIZE", "99")
    assert threads_per_process() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert threads_per_process() == 5


def test_each_process_of_a_host_has_a_gpu_of_its_own():
    assert [gpu_of(World(rank, 4, rank % 2), 2) for rank in range(4)] == [0, 1, 0, 1]
    with pytest.raises(ContractError, match=r"rank 5 is process 3 of its host, which has 2 GPU\(s\)"):
        gpu_of(World(5, 6, 2), 2)
