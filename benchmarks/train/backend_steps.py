"""(b), (e) Training steps of one of our backends, input pipeline included."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.train.device import tensorflow_device, torch_device
from benchmarks.train.recorder import Recorder
from benchmarks.train.setup import options_parser, plan_of, run_steps, setting_of, write_result
from trainer.backends import backend_maker
from trainer.config import MAX_SLOTS
from trainer.core.backend import Backend, StepResult, StepTotals
from trainer.core.input.training_input import StepInput
from trainer.core.step import runs_ahead
from trainer.core.world import World


class Training:
    """Steps as the trainer's loop makes them: beside a GPU, a result is read when the next step has begun."""

    def __init__(self, backend: Backend, learning_rate: float) -> None:
        self._backend, self._rate = backend, learning_rate
        self._last: Callable[[], StepResult] | None = None

    def __call__(self, step_input: StepInput, step: int) -> None:
        totals = StepTotals(step_input.num_masked, step_input.num_patients)
        if not runs_ahead(self._backend):
            self._check(self._backend.train_step(step_input.packed, totals, self._rate, step))
            return
        begun = self._backend.begin_step(step_input.packed, totals, self._rate, step)
        if self._last:
            self._check(self._last())
        self._last = begun

    def _check(self, result: StepResult) -> None:
        assert result.applied, "the step is not finite"


def main() -> None:
    parser = options_parser(__doc__ or "")
    parser.add_argument("--backend", choices=("torch", "tensorflow"), required=True)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--max_slots", type=int, default=MAX_SLOTS)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument(
        "--profile_steps", type=int, default=0, help="of PyTorch: steps to take apart at the end"
    )
    options = parser.parse_args()
    given = ("backend", "precision", "max_slots", "compile")
    more = [f"--{name}={str(getattr(options, name)).lower()}" for name in given]
    setting = setting_of(options, more=more)
    config = setting.config
    backend = backend_maker(config)(setting.model, config.optimizer, World(), config.seed)
    training = Training(backend, config.optimizer.learning_rate)
    device = torch_device() if options.backend == "torch" else tensorflow_device()
    recorder = Recorder(plan_of(options), device.synchronise)
    run_steps(setting, recorder, training, backend.pack)
    result = recorder.summary() | device.to_json()
    if options.profile_steps:
        from benchmarks.train.breakdown import take_apart

        result["breakdown"] = take_apart(setting, training, backend.pack, options.profile_steps, device)
    write_result(options, result)


if __name__ == "__main__":
    main()
