"""Pretraining: one loop, two backends (TensorFlow, PyTorch), on one process or many under Horovod."""
