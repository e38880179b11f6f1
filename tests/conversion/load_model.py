"""Load a model folder as a user does, through every Auto class and offline, and print what it gave, as JSON.

Arguments: the model folder, a JSON object of inputs (B, T) and the text to tokenise. This project is not on
the path: the two helpers are the folder's own.
"""

import importlib.util
import json
import sys

import torch
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    logging,
    pipeline,
)


def helper(folder, name):
    spec = importlib.util.spec_from_file_location(name, f"{folder}/{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def main(folder, inputs, text):
    los, patients = helper(folder, "los_head"), helper(folder, "encode_patient")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = {"tokenizer": type(tokenizer).__name__, "tokens": dict(tokenizer(text))}
    found["words"] = dict(tokenizer(text.split(), is_split_into_words=True))
    patient = patients.encode_patient(tokenizer, [["e039", "E03.9"], ["E049", "E03.9"]])
    found["patient"] = {name: rows[0] for name, rows in tokenizer.pad([patient.inputs]).items()}
    found["special"] = [getattr(tokenizer, f"{role}_token_id") for role in ("pad", "unk", "cls", "mask")]
    tensors = {name: torch.tensor(values) for name, values in json.loads(inputs).items()}
    outputs = {}
    for auto in (AutoModel, AutoModelForMaskedLM, AutoModelForPreTraining):
        model, loading = auto.from_pretrained(folder, output_loading_info=True)
        found[auto.__name__] = {
            "class": type(model).__name__,
            "training": model.training,
            "act": model.config.hidden_act,
            "missing": sorted(loading["missing_keys"]),
            "mismatched": sorted(loading["mismatched_keys"]),
            "unexpected": sorted({key.rsplit(".", 1)[0] for key in loading["unexpected_keys"]}),
        }
        with torch.no_grad():
            outputs[auto.__name__] = model(**tensors)
    pretraining = outputs["AutoModelForPreTraining"]
    words, decoder = model.bert.embeddings.word_embeddings, model.cls.predictions.decoder
    found["tied"] = decoder.weight.data_ptr() == words.weight.data_ptr()
    found["sequence_output"] = outputs["AutoModel"].last_hidden_state.tolist()
    found["pooled_output"] = outputs["AutoModel"].pooler_output.tolist()
    found["mlm_logits"] = outputs["AutoModelForMaskedLM"].logits.tolist()
    found["same_mlm"] = torch.equal(outputs["AutoModelForMaskedLM"].logits, pretraining.prediction_logits)
    found["standard_los_logits"] = pretraining.seq_relationship_logits.tolist()
    with torch.no_grad():
        found["los_logits"] = los.los_logits(model, **tensors).tolist()
    logging.set_verbosity_error()  # it says of each classifier that it is new
    classifier, loading = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    found["new_in_a_classifier"] = sorted(loading["missing_keys"])
    pooler, trained = classifier.bert.pooler.dense, model.bert.pooler.dense
    found["same_pooler"] = torch.equal(pooler.weight, trained.weight) and torch.equal(
        pooler.bias, trained.bias
    )
    found["trained_pooler"] = classifier.config.trained_pooler
    fill = pipeline("fill-mask", model=folder, tokenizer=folder)
    found["filled"] = [guess["token"] for guess in fill(f"{tokenizer.mask_token} ICD10CM//E03.9", top_k=26)]
    with open(f"{folder}/README.md") as stream:
        code = stream.read().split("```python\n")[1].split("```")[0]
    sys.path.insert(0, folder)
    shown = {}
    exec(code.replace("path/of/this/folder", folder), shown)  # what the card tells a user to do
    found["card"] = list(shown["outputs"].prediction_logits.shape)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
