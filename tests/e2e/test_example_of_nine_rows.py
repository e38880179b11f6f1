"""Med-BERT's own example of nine rows, two patients: too small to train on. It must say so, or run."""

import os
import subprocess
import sys

TINY = (
    "--model.hidden_size 16 --model.num_hidden_layers 1 --model.num_attention_heads 2"
    " --model.intermediate_size 16 --steps 3 --batch_size 2 --eval_every 2 --checkpoint_every 3"
    " --optimizer.warmup_steps 1"
)
STAGES = ("ingest", "vocabulary", "sequences", "shards", "pretrain", "convert", "report")
LOAD = """
import sys
from transformers import AutoModelForPreTraining, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForPreTraining.from_pretrained(sys.argv[1])
encoded = tokenizer("ICD9CM//240.1 ICD9CM//150", return_tensors="pt")
assert encoded["input_ids"].shape == (1, 2), encoded
assert model(**encoded).prediction_logits.shape == (1, 2, len(tokenizer))
"""


def test_runs_to_a_model_with_the_minimums_lowered(make, shared, tmp_path):
    run = str(tmp_path / "nine")
    source = os.path.join(shared, "data/medbert_example/data_file.tsv")
    make(*STAGES, SOURCE="medbert", INPUT=source, RUN=run, MIN_PATIENTS=1, MIN_CODES=1, TRAIN_ARGS=TINY)
    subprocess.run([sys.executable, "-c", LOAD, f"{run}/model"], check=True)
    assert os.path.getsize(f"{run}/report.html") > 10_000
    assert os.path.getsize(f"{run}/pretrain/report.html") > 10_000


def test_with_the_default_minimums_it_says_what_to_lower(make, shared, tmp_path):
    run = str(tmp_path / "nine")
    source = os.path.join(shared, "data/medbert_example/data_file.tsv")
    done = make("ingest", "vocabulary", SOURCE="medbert", INPUT=source, RUN=run, check=False)
    assert done.returncode != 0
    assert "MIN_PATIENTS" in done.stderr
    assert not os.path.exists(f"{run}/vocabulary/manifest.json")
