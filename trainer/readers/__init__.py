"""Shard files → ragged NumPy batches: one module a reader, one interface."""
