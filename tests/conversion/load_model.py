"""Load a model folder as a user does, through every Auto class and offline, and print what it gave, as JSON.

Arguments: the model folder, the path of los_head.py, a JSON object of inputs (1, T) and the text to tokenise.
This project is not on the path.
"""

import importlib.util
import json
import sys

import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForPreTraining, AutoTokenizer, pipeline


def main(folder, los_head, inputs, text):
    spec = importlib.util.spec_from_file_location("copied_los_head", los_head)
    los = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(los)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = {"tokenizer": type(tokenizer).__name__, "tokens": dict(tokenizer(text))}
    found["words"] = dict(tokenizer(text.split(), is_split_into_words=True))
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
    fill = pipeline("fill-mask", model=folder, tokenizer=folder)
    found["filled"] = [guess["token"] for guess in fill(f"{tokenizer.mask_token} ICD10CM//E03.9", top_k=26)]
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
