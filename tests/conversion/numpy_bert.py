"""BERT's forward pass in plain NumPy (float64), by TensorFlow's variable names: a second opinion.

Run as a script it stands in for `python -m trainer forward`.
"""

import argparse
import json
import math
import os

import numpy as np


def forward(variables, config, inputs):
    """Every output that `trainer forward` writes. variables: TensorFlow name → array."""
    get = {name: array.astype(np.float64) for name, array in variables.items()}

    def dense(x, name):
        return x @ get[f"{name}/kernel"] + get[f"{name}/bias"]

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + config["layer_norm_eps"])
        return scaled * get[f"{name}/LayerNorm/gamma"] + get[f"{name}/LayerNorm/beta"]

    def split(x):
        return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)  # (B, heads, T, d)

    activate = ACTIVATIONS[config["hidden_act"]]
    heads = config["num_attention_heads"]
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    x = get["bert/embeddings/word_embeddings"][ids]
    x = x + get["bert/embeddings/token_type_embeddings"][inputs["token_type_ids"]]
    x = x + get["bert/embeddings/position_embeddings"][: ids.shape[1]]
    x = norm(x, "bert/embeddings")
    outputs = {"embeddings": x}
    for layer in range(config["num_hidden_layers"]):
        name = f"bert/encoder/layer_{layer}"
        query, key, value = (
            split(dense(x, f"{name}/attention/self/{part}")) for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(query.shape[-1])
        scores = scores - 10000.0 * (1 - mask[:, None, None, :])
        attended = (softmax(scores) @ value).transpose(0, 2, 1, 3).reshape(x.shape)
        x = norm(x + dense(attended, f"{name}/attention/output/dense"), f"{name}/attention/output")
        inner = activate(dense(x, f"{name}/intermediate/dense"))
        x = norm(x + dense(inner, f"{name}/output/dense"), f"{name}/output")
        outputs[f"layer_{layer}"] = x
    pooled = np.tanh(dense(x[:, 0], "bert/pooler/dense"))
    real = mask[:, :, None]
    summed = (x * real).sum(1)
    read_by_los = {"first": pooled, "sum": summed, "mean": summed / real.sum(1)}[config["los_pooling"]]
    los = np.log(
        softmax(
            read_by_los @ get["cls/seq_relationship/output_weights"].T
            + get["cls/seq_relationship/output_bias"]
        )
    )
    masked = x[inputs["masked_rows"], inputs["masked_columns"]]
    masked = norm(activate(dense(masked, "cls/predictions/transform/dense")), "cls/predictions/transform")
    mlm = np.log(
        softmax(masked @ get["bert/embeddings/word_embeddings"].T + get["cls/predictions/output_bias"])
    )
    outputs |= {
        "sequence_output": x,
        "pooled_output": pooled,
        "mlm_log_probs": mlm,
        "los_log_probs": los,
        "mlm_loss": -mlm[np.arange(len(mlm)), inputs["masked_labels"]].mean(),
        "los_loss": -los[np.arange(len(los)), inputs["prolonged_los"]].mean(),
    }
    return {name: np.asarray(array, np.float32) for name, array in outputs.items()}


def gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def erf_gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


ACTIVATIONS = {
    "gelu_pytorch_tanh": gelu,
    "erf_gelu": erf_gelu,
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "linear": lambda x: x,
}


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def main():
    """Read the arrays that the tests' checkpoints were made of, without TensorFlow."""
    from safetensors.numpy import load_file

    from conversion.bert_map import map_arrays
    from schemas.model_config import BertConfig

    parser = argparse.ArgumentParser()
    for option in ("checkpoint", "config", "inputs", "outputs"):
        parser.add_argument(f"--{option}")
    options = parser.parse_args()
    with open(options.config or f"{options.checkpoint}/config.json") as stream:
        config = json.load(stream)
    if os.path.isdir(options.checkpoint):
        arrays = load_file(f"{options.checkpoint}/model.safetensors")
        variables = map_arrays(arrays, BertConfig(**config), "transformers", "tensorflow", "test").arrays
    else:
        stored = np.load(f"{os.path.dirname(options.checkpoint)}.npz")
        variables = {key.replace("|", "/"): stored[key] for key in stored.files}
    np.savez(options.outputs, **forward(variables, config, np.load(options.inputs)))


if __name__ == "__main__":
    main()
