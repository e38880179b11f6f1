"""Open a folder's tokenizer as a user of transformers does, offline, and print what it gave, as JSON.

Argument: the folder. Neither this project nor torch is there: encode_patient is the folder's own.
"""

import importlib.util
import json
import sys

import transformers
from transformers import AutoConfig, AutoTokenizer

SHORT, TOO_MANY_VISITS = 3, 9


def main(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = AutoConfig.from_pretrained(folder)
    spec = importlib.util.spec_from_file_location("encode_patient", f"{folder}/encode_patient.py")
    helper = importlib.util.module_from_spec(spec)
    sys.modules["encode_patient"] = helper
    spec.loader.exec_module(helper)
    visits = [["e039", "E03.9"], ["E049", "E03.9"]]
    try:
        refused = helper.encode_patient(tokenizer, [["E03.9"]] * TOO_MANY_VISITS)
    except ValueError as error:
        refused = str(error)
    tokenizer.save_pretrained(f"{folder}/saved")
    found = {
        "version": transformers.__version__,
        "class": type(tokenizer).__name__,
        "text": dict(tokenizer("E03.9 [MASK] unknown [PAD]", "E04.9")),
        "patient": helper.encode_patient(tokenizer, visits).inputs,
        "padded": dict(tokenizer.pad([{"input_ids": [4, 5]}, {"input_ids": [4]}])),
        "cut": tokenizer(["E03.9"] * 20 + ["E04.9"], is_split_into_words=True, truncation=True)["input_ids"],
        "refused": refused,
        "saved": dict(AutoTokenizer.from_pretrained(f"{folder}/saved")("E03.9 E04.9")),
        "config": [config.model_type, config.type_vocab_size, config.hidden_act, config.los_pooling],
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
