"""The PyTorch backend: transformers' BertForPreTraining modules."""
