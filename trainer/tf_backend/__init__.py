"""The TensorFlow backend: BERT as plain variables under BERT's own names."""
