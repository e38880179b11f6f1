"""A TensorFlow checkpoint damaged again and again, each read as the converter's child reads one.

`python -m tests.fuzz.tf_checkpoints FOLDER SEED FIRST LAST`: inputs FIRST up to LAST, a line of JSON for
each: [number, accepted | refused | traceback | different, words]. A process for many, as TensorFlow takes
seconds to start; whoever started it starts another where a damaged one ended it.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import traceback

import numpy as np
from safetensors.numpy import load_file

from tests.fuzz.changes import change_bytes

PREFIX = "model.ckpt-7"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _write_good(folder: str) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(0)
    shapes = {
        "bert/embeddings/word_embeddings": (9, 4),
        "bert/pooler/dense/kernel": (4, 4),
        "bert/pooler/dense/bias": (4,),
    }
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    arrays |= {f"{name}/{slot}": array for name, array in arrays.items() for slot in ("adam_m", "adam_v")}
    arrays["global_step"] = np.asarray(7, np.int64)
    os.makedirs(folder, exist_ok=True)
    tf.raw_ops.SaveV2(
        prefix=f"{folder}/{PREFIX}",
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=list(arrays.values()),
    )


def _read(prefix: str, scratch: str) -> dict[str, np.ndarray] | None:
    """The variables; None where the checkpoint was refused."""
    from conversion.checkpoints.tf_checkpoint import _read_in_child

    _read_in_child(prefix, scratch)
    with open(f"{scratch}/listing.json", encoding="utf-8") as stream:
        return None if "damaged" in json.load(stream) else load_file(f"{scratch}/variables.safetensors")


def _outcome(prefix: str, scratch: str, right: dict[str, np.ndarray]) -> tuple[str, str]:
    try:
        found = _read(prefix, scratch)
    except Exception:
        return "traceback", traceback.format_exc()
    if found is None:
        return "refused", ""
    equal = found.keys() == right.keys() and all(np.array_equal(found[name], right[name]) for name in right)
    return ("accepted", "") if equal else ("different", f"variables {sorted(found)}")


def main(folder: str, seed: str, first: str, last: str) -> None:
    if not os.path.exists(f"{folder}/good/{PREFIX}.index"):
        _write_good(f"{folder}/good")
    names = sorted(name for name in os.listdir(f"{folder}/good") if name.startswith(PREFIX))
    contents = {}
    for name in names:
        with open(f"{folder}/good/{name}", "rb") as stream:
            contents[name] = stream.read()
    changed, scratch = f"{folder}/changed", f"{folder}/scratch"
    os.makedirs(changed, exist_ok=True)
    os.makedirs(scratch, exist_ok=True)
    right = _read(f"{folder}/good/{PREFIX}", scratch)
    assert right
    for number in range(int(first), int(last)):
        chance = random.Random(f"{seed}/TensorFlow checkpoint/{number}")
        victim = chance.choice(names)
        for name, content in contents.items():
            with open(f"{changed}/{name}", "wb") as stream:
                stream.write(change_bytes(chance, content) if name == victim else content)
        found = _outcome(f"{changed}/{PREFIX}", scratch, right)
        sys.stdout.write(json.dumps([number, *found]) + "\n")
        sys.stdout.flush()


def outcomes(folder: str, seed: int, count: int) -> list[tuple[str, str]]:
    """Of so many inputs: (accepted | refused | traceback | different, words). folder: to work in.

    An input that ends TensorFlow is refused: the converter reads each in a child of its own, and says so.
    """
    found: dict[int, tuple[str, str]] = {}
    while len(found) < count:
        first = len(found)
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.tf_checkpoints", folder, str(seed), str(first), str(count)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": ROOT, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
            capture_output=True,
            text=True,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        found |= {number: (outcome, words) for number, outcome, words in lines}
        if len(found) < count:
            if done.returncode >= 0:  # no signal: not TensorFlow's doing
                raise RuntimeError(done.stderr[-2000:])
            found[len(found)] = ("refused", f"TensorFlow ended with signal {-done.returncode}")
    return [found[number] for number in range(count)]


if __name__ == "__main__":
    main(*sys.argv[1:])
