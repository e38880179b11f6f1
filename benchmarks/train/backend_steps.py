"""(b) Training steps of one of our backends, input pipeline included."""

from __future__ import annotations

from benchmarks.train.device import tensorflow_device, torch_device
from benchmarks.train.recorder import Recorder
from benchmarks.train.setup import options_parser, plan_of, run_steps, setting_of, write_result
from trainer.backends import backend_maker
from trainer.config import MAX_SLOTS
from trainer.core.backend import StepTotals
from trainer.core.training_input import StepInput
from trainer.core.world import World


def main() -> None:
    parser = options_parser(__doc__ or "")
    parser.add_argument("--backend", choices=("torch", "tensorflow"), required=True)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--max_slots", default=str(MAX_SLOTS))
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    given = ["backend", "precision", "max_slots", "compile"]
    more = [f"--{name}={str(getattr(options, name)).lower()}" for name in given]
    setting = setting_of(options, more=more)
    config = setting.config
    backend = backend_maker(config)(setting.model, config.optimizer, World(), config.seed)

    def train(step_input: StepInput, step: int) -> None:
        totals = StepTotals(step_input.num_masked, step_input.num_patients)
        result = backend.train_step(step_input.blocks, totals, config.optimizer.learning_rate, step)
        assert result.applied, "the step is not finite"

    device = torch_device() if options.backend == "torch" else tensorflow_device()
    recorder = Recorder(plan_of(options), device.synchronise)
    run_steps(setting, recorder, train)
    write_result(options, recorder.summary() | device.to_json())


if __name__ == "__main__":
    main()
