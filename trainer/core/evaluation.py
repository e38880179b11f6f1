"""Evaluation on the valid split: the same patients and the same masks each time, against two baselines."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from schemas.vocabulary import SpecialTokens
from trainer.core.backend import Backend
from trainer.core.baselines import (
    count_codes,
    count_patients,
    popularity_ranks,
    rank_by_other_visits,
    rank_by_popularity,
)
from trainer.core.confusions import ConfusionCounts, Confusions
from trainer.core.input.masking import evaluation_key
from trainer.core.input.order import Order, Range, count, share
from trainer.core.input.stream import stream_batches
from trainer.core.input.training_input import BatchMaker
from trainer.core.metrics import TOP_K, EvaluationSums, area_under_roc, count_hits, count_top_hits, ratio
from trainer.core.stop import StopRequest
from trainer.core.together import work_and_ask
from trainer.core.world import World
from trainer.readers.base import ShardReader

LOG = logging.getLogger(__name__)
_COUNTED_SHARDS = 4
"""Training shards from which the most frequent codes are counted."""


class EvaluationStopped(Exception):
    """A rank was asked to stop, so this evaluation is given up, on every rank."""

    def __init__(self, ranks: list[int]) -> None:
        super().__init__(ranks)
        self.ranks = ranks


@dataclass
class _Local:
    """One rank's part of an evaluation."""

    sums: EvaluationSums
    baseline_hits: np.ndarray
    """(2, len(TOP_K)): always the most frequent codes; the patient's other visits"""
    scores: np.ndarray
    """(2, patients of all ranks): score and label of this rank's patients, 0 elsewhere"""
    confusions: ConfusionCounts


class Evaluator:
    """Evaluates a model on (the first patients of) the valid split; each rank takes a part."""

    def __init__(
        self,
        backend: Backend,
        world: World,
        train: ShardReader,
        valid: ShardReader,
        maker: BatchMaker,
        batch_size: int,
        max_patients: int | None,
        stop: StopRequest,
    ) -> None:
        self._backend, self._world, self._stop = backend, world, stop
        self._train, self._valid = train, valid
        self._maker, self._batch_size = maker, batch_size
        self._order = Order(valid.shard_rows, None)
        self._num_patients = self._order.num_patients
        if max_patients is not None:
            self._num_patients = min(self._num_patients, max_patients)
        self._first_code_id = SpecialTokens(**train.shards.special_tokens).first_code_id
        self._popularity: np.ndarray | None = None
        self._baseline_hits: np.ndarray | None = None
        self.patients_with_code = np.zeros(train.shards.vocabulary_size, np.int64)
        """(V,) of the training patients from whom popularity is counted; once evaluated."""
        self.confusions: Confusions | None = None
        """Of the newest evaluation."""

    def evaluate(self) -> dict[str, float | int | None] | None:
        """The metrics, equal on every rank; None when the valid split is empty. Raises EvaluationStopped."""
        if not self._num_patients:
            LOG.warning("%s has no patients: nothing is evaluated", self._valid.shards.uri)
            return None
        if self._popularity is None:
            self._popularity = self._count_popularity()
        local = self._evaluate_share()
        sums = EvaluationSums.from_array(self._backend.all_reduce("evaluation.sums", local.sums.to_array()))
        if self._baseline_hits is None:
            self._baseline_hits = self._backend.all_reduce("evaluation.baselines", local.baseline_hits)
        scores, labels = self._backend.all_reduce("evaluation.scores", local.scores)
        self.confusions = local.confusions.over_ranks(self._backend, self._world)
        return _summary(sums, self._baseline_hits, scores, labels)

    def _count_popularity(self) -> np.ndarray:
        """(V,) rank of each code by frequency in the first training shards, which the ranks share out.

        Counts how many patients have each code, too.
        """
        shards = range(min(_COUNTED_SHARDS, len(self._train.shard_rows)))
        size = self._train.shards.vocabulary_size
        counts = np.zeros((2, size), np.int64)

        def count_share() -> Generator[None]:
            for shard in shards[self._world.rank :: self._world.size]:
                batch = self._train.read(shard)
                counts[:] += count_codes(batch, size), count_patients(batch, size)
                yield

        self._in_rounds("popularity", -(-len(shards) // self._world.size), count_share())
        codes, patients = self._backend.all_reduce("popularity.counts", counts)
        self.patients_with_code[self._first_code_id :] = patients[self._first_code_id :]
        return popularity_ranks(codes, self._first_code_id)

    def _evaluate_share(self) -> _Local:
        """This rank's patients. A rank may have one batch fewer than another, or none."""
        whole = ((0, self._num_patients),)
        spans = share(whole, self._world.rank, self._world.size)
        local = _Local(
            EvaluationSums(),
            np.zeros((2, len(TOP_K))),
            np.zeros((2, self._num_patients)),
            ConfusionCounts(self._train.shards.vocabulary_size),
        )
        most_batches = -(-count(share(whole, 0, self._world.size)) // self._batch_size)
        self._in_rounds("evaluation", most_batches, self._evaluate_batches(spans, local))
        return local

    def _in_rounds(self, name: str, rounds: int, pieces: Generator[None]) -> None:
        """Do this rank's pieces of work, of which none has more than `rounds`, as the other ranks do theirs.

        After each piece, that is about as often as in training, the ranks agree to go on, so that all hear
        at once of one that was asked to stop, or has failed. Raises EvaluationStopped.
        """
        with closing(pieces):
            for left in reversed(range(rounds)):
                _, asked = work_and_ask(
                    self._backend, self._world, name, lambda: next(pieces, None), lambda: self._stop.asked
                )
                if asked and left:
                    raise EvaluationStopped(asked)

    def _evaluate_batches(self, spans: Sequence[Range], local: _Local) -> Generator[None]:
        """Add the patients at these places of the order, batch by batch."""
        assert self._popularity is not None
        place = spans[0][0] if count(spans) else 0
        for batch in stream_batches(self._valid, self._order, spans, self._batch_size):
            masked, _ = self._maker.prepare(batch, evaluation_key())
            if self._baseline_hits is None:  # the same at every evaluation
                local.baseline_hits[0] += count_hits(rank_by_popularity(masked, self._popularity))
                local.baseline_hits[1] += count_hits(
                    rank_by_other_visits(masked, self._popularity, self._first_code_id)
                )
            predictions = self._backend.predict(masked)
            local.sums.mlm_loss += predictions.mlm_loss_sum
            local.sums.los_loss += predictions.los_loss_sum
            local.sums.masked_codes += len(masked.labels)
            local.sums.patients += batch.num_patients
            local.sums.model_hits += count_top_hits(predictions.top_codes, masked.labels)
            local.confusions.add(masked, predictions.top_codes)
            stop = place + batch.num_patients
            local.scores[0, place:stop] = predictions.prolonged_los_score
            local.scores[1, place:stop] = batch.prolonged_los
            place = stop
            yield


def validation_loss(values: Mapping[str, float | int | None]) -> float | None:
    """What training minimises, of the metrics of an evaluation; None where it is not a finite number."""
    mlm_loss, los_loss = values["mlm_loss"], values["los_loss"]
    if mlm_loss is None or los_loss is None or not math.isfinite(mlm_loss + los_loss):
        return None
    return mlm_loss + los_loss


def _summary(
    sums: EvaluationSums, baseline_hits: np.ndarray, scores: np.ndarray, labels: np.ndarray
) -> dict[str, float | int | None]:
    masked = sums.masked_codes
    summary: dict[str, float | int | None] = {
        "patients": sums.patients,
        "masked_codes": masked,
        "mlm_loss": ratio(sums.mlm_loss, masked),
        "los_loss": ratio(sums.los_loss, sums.patients),
        "los_auc": area_under_roc(scores, labels),
        "los_base_rate": ratio(float(labels.sum()), sums.patients),
    }
    for prefix, hits in (
        ("", sums.model_hits),
        ("most_frequent_", baseline_hits[0]),
        ("other_visits_", baseline_hits[1]),
    ):
        summary |= {f"{prefix}top_{k}": ratio(n, masked) for k, n in zip(TOP_K, hits, strict=True)}
    return summary
