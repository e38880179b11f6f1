"""`README.md` of a model folder: what the model is for, what it is not, how to load it, how it was made."""

from __future__ import annotations

from collections.abc import Sequence

from conversion.bert_map import Mapped
from conversion.checkpoints.source import Source
from conversion.tokens.code_spellings import example_spellings
from conversion.tokens.tokenizer import OPENED_WITH
from schemas.applied_maps import maps_in_words
from schemas.manifest import CREATED_BY
from schemas.model_config import TANH_GELU, BertConfig, LosPooling

_CARD = """---
library_name: transformers
pipeline_tag: fill-mask
tags:
- med-bert
- electronic-health-records
- diagnosis-codes
---
# A Med-BERT model

An encoder of patients' diagnosis histories (Rasmy et al., npj Digital Medicine 2021): one token a
diagnosis code, the visit number as token type. It was pretrained to name masked codes and to tell
whether a patient ever had a prolonged stay (more than 7 days).

{sizes}

## How to load it

```python
import torch
from transformers import AutoModelForPreTraining, AutoTokenizer

from encode_patient import encode_patient  # a file of this folder

tokenizer = AutoTokenizer.from_pretrained("path/of/this/folder")
model = AutoModelForPreTraining.from_pretrained("path/of/this/folder").eval()

patient = encode_patient(tokenizer, {example_visits})  # a list of codes a visit
inputs = tokenizer.pad([patient.inputs], return_tensors="pt")
with torch.no_grad():
    outputs = model(**inputs)
outputs.prediction_logits  # (1, 2, {vocab_size}): of each code
```

`encode_patient` gives what training saw: the visit numbers, from 1, as `token_type_ids`, a code once a visit,
of a longer patient the latest {max_codes} codes; `patient.num_unknown` counts the codes that the
vocabulary lacks. It refuses visits that are not lists of codes, and codes from {max_visits} visits or more.
The tokenizer alone takes one visit, `tokenizer({example_text!r})`, or two,
as a pair of texts.{spellings}

The tokenizer was opened with transformers {versions}.

`AutoModel` gives the encoder, `AutoModelForMaskedLM` and `pipeline("fill-mask")` the masked-code head. Codes
come in order of the visits, at most {max_codes}; visit numbers are below {max_visits}; no [CLS] or [SEP]
is put around a patient. {tokens}
{maps}
## The prolonged-stay head

{los}

## A classifier of your own

{classifier}

## Intended use

Research: fine-tuning on cohorts for the prediction of diseases, and embeddings of patients and codes. It
is no medical device and must not decide on anybody's care.

## Limits

- It knows only the codes of its vocabulary, and the coding habits of the data that it was trained on;
  these differ between countries, payers and years.
- Codes are billed diagnoses, not findings: what was not coded was not seen.
- Before it is given away it must pass the release check (`python -m conversion release-check`), which adds to
  this card what it was trained on, how accurate it is and what was checked. Until then nothing says that no
  code is of fewer patients than may be shown, or that no patient can be recognised.

## How it was made

Converted by {created_by} from the {source} checkpoint `{name}`{step} (fingerprint `{fingerprint}`):
{consumed} variables used{averages}, {ignored} deliberately left out. Source and target were run on the same
patients, in separate processes, and agree in every layer, both heads and both losses;
`conversion_report.json` has the differences. {activation}
"""

_GELU = """The activation is BERT's own tanh form of GELU
(`gelu_pytorch_tanh`); `gelu` would be the erf form and quietly off."""

_SPELLINGS = """ {examples} are one code. A bare code that ICD-9-CM and
ICD-10-CM write alike (V45.81, E8810) is unknown where the vocabulary has both: write its system."""

_MAPS = """
## Codes that were mapped

Before they were counted and trained on, codes were {maps}. Give the model codes to which the same was done:
a code as it was billed may be unknown to it.
"""

_LOS_FIRST = (
    """`outputs.seq_relationship_logits` (B, 2), class 1 for a prolonged stay. It reads the first token."""
)

_LOS_POOLED = """`config.los_pooling` is `{pooling}`: the head reads the {pooling} of the encoder's output
over the patient's real tokens. **Do not use
`seq_relationship_logits`**: the standard class would give the head the pooled first token. Instead, with
`los_logits` of this folder's `los_head.py`, or:

```python
encoded = model.bert(**inputs).last_hidden_state            # (B, T, H)
real = inputs["attention_mask"].unsqueeze(-1)               # (B, T, 1)
pooled = {expression}
logits = model.cls.seq_relationship(pooled)                 # (B, 2), class 1 for a prolonged stay
```
"""

_EXPRESSIONS = {
    "sum": "(encoded * real).sum(1)                            # (B, H)",
    "mean": "(encoded * real).sum(1) / real.sum(1)             # (B, H)",
}

_CLASSIFIER = """`AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)` is ready to be
fine-tuned: all weights but the new classifier's are trained. It reads the pooler's output of the patient's
first code of those that are kept. {pooler}"""

_POOLER_FIRST = "So does the prolonged-stay head."

_POOLER_ASIDE = """The pooler learned to tell a prolonged stay from the mean of the codes, beside
the network (`trained_pooler` in `config.json`). A classifier that reads that mean, `pool("mean", …)` of this
folder's `los_head.py`, is worth a try."""

_CLASSIFIER_OF_MEAN = """**Do not fine-tune `AutoModelForSequenceClassification` of this folder**:
it reads the pooler, and nothing says that this checkpoint's was ever trained (`trained_pooler` in
`config.json`). Give a classifier the mean of the encoder's output over the patient's real tokens instead:
`pool("mean", …)` of this folder's `los_head.py`, or:

```python
encoded = model.bert(**inputs).last_hidden_state            # (B, T, H)
real = inputs["attention_mask"].unsqueeze(-1)               # (B, T, 1)
logits = classifier((encoded * real).sum(1) / real.sum(1))  # classifier: torch.nn.Linear(H, labels)
```"""

_SUM_NOTE = """
The original Med-BERT's `run_EHRpretraining_QA2Seq` sums over padding as well, so that its output depends
on how far a patient is padded. This head sums over real tokens: of a checkpoint from there its logits
are not the original's.
"""


def model_card(source: Source, mapped: Mapped) -> str:
    """The card's Markdown."""
    config, tokens, special = source.config, source.vocabulary.tokens, source.vocabulary.special
    unknown = (
        "An unknown code becomes [UNK]."
        if special.unk is not None
        else 'The vocabulary has no [UNK]: the tokenizer raises "Missing [UNK] token" on an unknown code, so '
        "leave such codes out."
    )
    codes, maps = tokens[special.first_code_id :], source.vocabulary.code_maps
    examples = [f"`{spelling}`" for spelling in example_spellings(tokens)]
    shared = (
        " Padding and mask are one token, as in the original Med-BERT." if special.pad == special.mask else ""
    )
    return _CARD.format(
        sizes=f"{config.num_hidden_layers} layers, hidden size {config.hidden_size}, "
        f"{config.num_attention_heads} heads, feed-forward {config.intermediate_size}, "
        f"{len(tokens):,} tokens.",
        # A model may have a single visit number above 0.
        example_visits=[[code] for code in codes[: min(2, config.type_vocab_size - 1)]],
        example_text=" ".join(codes[:2]),
        spellings=_SPELLINGS.format(examples=_listed(examples)) if examples else "",
        maps=_MAPS.format(maps=maps_in_words(maps)) if maps else "",
        vocab_size=config.vocab_size,
        max_codes=source.max_seq_length,
        max_visits=config.type_vocab_size,
        versions=_listed(OPENED_WITH),
        tokens=unknown + shared,
        los=_los_section(config.los_pooling),
        classifier=_classifier_section(config),
        created_by=CREATED_BY,
        activation=_GELU if config.hidden_act == TANH_GELU else f"The activation is `{config.hidden_act}`.",
        source="TensorFlow" if source.naming == "tensorflow" else "PyTorch",
        name=source.name,
        step=f" of step {source.step}" if source.step is not None else "",
        fingerprint=source.fingerprint[:16],
        consumed=len(mapped.consumed),
        averages=", each by its moving average" if source.use_ema else "",
        ignored=len(mapped.ignored),
    )


def _listed(texts: Sequence[str]) -> str:
    *first, last = texts
    return f"{', '.join(first)} and {last}"


def _los_section(pooling: LosPooling) -> str:
    if pooling == "first":
        return _LOS_FIRST
    note = _SUM_NOTE if pooling == "sum" else ""
    return _LOS_POOLED.format(pooling=pooling, expression=_EXPRESSIONS[pooling]) + note


def _classifier_section(config: BertConfig) -> str:
    if not config.classifier_reads_pooler:
        return _CLASSIFIER_OF_MEAN
    return _CLASSIFIER.format(pooler=_POOLER_FIRST if config.los_pooling == "first" else _POOLER_ASIDE)
