"""Real data from OMOP tables to a converted model: the 100 patients of the MIMIC-IV demo."""

import json
import os

TINY = (
    "--model.hidden_size 32 --model.num_hidden_layers 2 --model.num_attention_heads 2"
    " --model.intermediate_size 32 --data.max_seq_length 256 --steps 20 --batch_size 16 --eval_every 10"
    " --checkpoint_every 20 --optimizer.warmup_steps 5"
)
STAGES = ("preprocess", "pretrain", "convert", "report")


def test_omop_to_a_verified_model(make, shared, tmp_path):
    run = str(tmp_path / "mimic")
    source = os.path.join(shared, "data/mimic_iv_demo_omop")
    make(*STAGES, SOURCE="omop", INPUT=source, RUN=run, MIN_PATIENTS=2, BACKEND="tensorflow", TRAIN_ARGS=TINY)
    with open(f"{run}/diagnoses/manifest.json") as stream:
        counts = json.load(stream)["counts"]
    assert counts["rows_in"] == counts["rows_out"] + counts["rows_rejected"] > 0
    with open(f"{run}/model/conversion_report.json") as stream:
        verification = json.load(stream)["verification"]
    assert verification["passed"] and verification["num_real_patients"] > 0
