"""Where a step's time goes, and the command of the GPU's case at a tiny size."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks.train import __main__ as train
from benchmarks.train.breakdown import Event, shares

ON_CPU = [Event("aten::mm", False, 20, 3.0), Event("aten::add", False, 40, 1.0)]
ON_GPU = [
    Event("cudaLaunchKernel", False, 30, 9.0),
    Event("ampere_bf16_s16816gemm_128x64", True, 20, 1.0),
    Event("pytorch_flash::flash_fwd_kernel", True, 10, 0.5),
    Event("triton_red_fused_addmm_exp_3", True, 40, 2.0),
    Event("Memcpy HtoD (Pinned -> Device)", True, 8, 0.5),
]


def test_shares_of_a_gpu_are_of_the_wall_time():
    found = shares([*ON_CPU, *ON_GPU], on_gpu=True, wall_s=10.0, waited_s=1.0, steps=10)
    assert found == {
        "arithmetic": 0.15, "memory": 0.2, "copies": 0.05, "idle": 0.6,
        "input_wait": 0.1, "launches": 3, "step_ms": 1000.0,
    }  # fmt: skip


def test_shares_of_a_cpu_are_of_its_operations():
    found = shares(ON_CPU, on_gpu=False, wall_s=8.0, waited_s=2.0, steps=10)
    assert (found["arithmetic"], found["memory"], found["input_wait"]) == (0.75, 0.25, 0.25)
    assert (found["launches"], found["idle"]) == (6, 0.0)


def test_the_gpus_command_runs_on_a_cpu(tmp_path, monkeypatch):
    preset = tmp_path / "small.yaml"
    preset.write_text(
        "model: {hidden_size: 24, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16}\n"
    )
    arguments = (
        f"--output {tmp_path}/out --device cpu --only be --patients 900 --codes_a_patient 15 "
        f"--batch_size 128 --max_slots 8192 --profile_steps 2 --vocabulary_size 300 "
        f"--warm_up 1 --repetitions 1 --seconds 0.1 "
        f"--preset {preset}"
    )
    every_way = train.ways
    only_torch = (train.TORCH_BF16, train.TORCH_COMPILED)
    monkeypatch.setattr(train, "ways", lambda options: {k: every_way(options)[k] for k in only_torch})
    monkeypatch.setattr(sys, "argv", ["benchmarks.train", *arguments.split()])
    train.main()
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["data"]["codes_a_patient"] == pytest.approx(15, abs=1.5)
    for name in only_torch:
        found = results["measured"][name]
        assert found["patients_per_s"] > 0 and 0 <= found["input_wait"] <= 1
        assert 0 < found["breakdown"]["arithmetic"] < 1 and found["breakdown"]["launches"] > 10
    assert "PyTorch compiled over not, patients by wall" in results["findings"]
    assert f"{train.TORCH_COMPILED}, where a step's time goes" in results["findings"]
