"""`onnx/`: a model's encoder for onnxruntime.

| file | what |
|---|---|
| encoder.onnx | inputs input_ids, attention_mask, token_type_ids: int64 (B, T), any B and T; outputs sequence_output (B, T, H) and pooled_output (B, H), float32 |
| config.json, tokenizer.json, tokenizer_config.json, vocab.txt, encode_patient.py | the model folder's own |
| export_report.json | how equal it is to the PyTorch model; not in the manifest's files |
| manifest.json | written last |
"""  # noqa: E501

KIND = "onnx_model"
ONNX_FILE = "encoder.onnx"
EXPORT_REPORT_FILE = "export_report.json"
INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT_NAMES = ("sequence_output", "pooled_output")
