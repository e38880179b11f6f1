"""`model/`: what `transformers` loads with `from_pretrained`, and how it was made.

| file | what |
|---|---|
| config.json | transformers' BertConfig; `los_pooling` and `max_seq_length` beside its keys |
| model.safetensors | BertForPreTraining's parameters, float32; tied ones once |
| tokenizer.json, tokenizer_config.json | whole codes to ids; it states `type_vocab_size`, too |
| encode_patient.py, los_head.py | conversion's, byte for byte: visits to inputs, prolonged-stay head |
| vocab.txt | a token a line; the line number from 0 is the id |
| README.md | the model card |
| conversion_report.json, release_report.json | how the conversion and the release check went |
| manifest.json | written last; card and reports are no part of the content, so not in its files |

`max_seq_length` is explained in schemas.model_config; visit numbers are below `type_vocab_size`. Of mapped
codes the manifest has `code_maps` (schemas.applied_maps).
"""

KIND = "model"
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
HELPER_FILES = ("encode_patient.py", "los_head.py")
CARD_FILE = "README.md"
REPORT_FILE = "conversion_report.json"
RELEASE_REPORT_FILE = "release_report.json"
ABOUT_FILES = frozenset({CARD_FILE, REPORT_FILE, RELEASE_REPORT_FILE})
