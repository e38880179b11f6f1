"""Whether a model folder may be given away, and what its card then says of the data behind it."""
