import numpy as np
import pytest

from trainer.core.backend import StepResult, StepTotals
from trainer.core.backend_rules import (
    dropout_seed,
    is_decayed,
    pad_top_codes,
    step_result,
    threads_per_process,
    vocabulary_head_chunks,
)


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


def test_top_codes_of_a_small_vocabulary_are_padded():
    padded = pad_top_codes(np.array([[4, 2, 1]]))
    assert padded.dtype == np.int32
    assert padded.tolist() == [[4, 2, 1, -1, -1, -1, -1, -1, -1, -1]]


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
