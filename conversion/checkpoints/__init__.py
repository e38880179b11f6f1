"""Checkpoints from anywhere: found, read and written."""
