"""One run: what stays the same while it trains, and what changes from step to step."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from schemas.model_config import BertConfig
from schemas.vocabulary import Vocabulary
from trainer.config import PretrainConfig
from trainer.core.backend import Backend
from trainer.core.checkpoints import CheckpointStore, TrainingState
from trainer.core.commits import Commits
from trainer.core.evaluation import Evaluator
from trainer.core.input.order import Position
from trainer.core.metrics import IntervalMeans
from trainer.core.non_finite import Diagnosis
from trainer.core.schedule import learning_rate
from trainer.core.step_trace import StepTrace
from trainer.core.stop import StopRequest
from trainer.core.world import World


@dataclass
class Progress:
    """What changes from step to step, and a checkpoint keeps."""

    step: int
    position: Position
    patients_seen: int
    patients_cut: int
    interval: IntervalMeans
    validation_loss: float | None = None
    """Of this step, if it was evaluated."""
    saved_step: int = 0
    """Step of the newest checkpoint, which an elastic run's commit is not; at step 0 there is nothing to
    save."""
    evaluation_due: bool = False
    """This step's evaluation was given up to stop in time."""


@dataclass(frozen=True)
class Run:
    """What stays the same while a run trains."""

    config: PretrainConfig
    model: BertConfig
    vocabulary: Vocabulary
    shards_fingerprint: str
    num_patients: int
    world: World
    backend: Backend
    evaluator: Evaluator
    checkpoints: CheckpointStore
    diagnosis: Diagnosis
    stop: StopRequest
    trace: StepTrace
    steps: int
    """Of the whole run, in this world."""
    commits: Commits | None
    """Of an elastic run."""

    def learning_rate(self, progress: Progress) -> float:
        """Of the next step."""
        optimizer, patients = self.config.optimizer, self.config.patients
        if patients is None:
            return learning_rate(
                progress.step,
                peak=optimizer.learning_rate,
                warmup=optimizer.warmup_steps,
                total=self.steps,
            )
        assert optimizer.warmup_patients is not None
        return learning_rate(
            progress.patients_seen,
            peak=optimizer.learning_rate,
            warmup=optimizer.warmup_patients,
            total=patients,
        )

    def with_steps(self, progress: Progress) -> Run:
        """Knowing how many steps the run has, from where it stands."""
        if self.config.patients is None:
            return self
        left = self.config.patients - progress.patients_seen
        return replace(self, steps=progress.step + progress.position.steps_to_see(left, self.num_patients))


def state_of(run: Run, progress: Progress) -> TrainingState:
    """What a checkpoint or a commit keeps."""
    return TrainingState(
        step=progress.step,
        position=progress.position,
        seed=run.config.seed,
        shards_fingerprint=run.shards_fingerprint,
        patients_seen=progress.patients_seen,
        patients_cut=progress.patients_cut,
        interval=asdict(progress.interval),
        config=asdict(run.config),
        validation_loss=progress.validation_loss,
        evaluation_due=progress.evaluation_due,
    )
