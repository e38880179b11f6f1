"""From a checkpoint, the original Med-BERT's or ours, to a folder that `transformers` loads, proven equal.

The converting process imports no deep-learning framework: TensorFlow reads its own files in a child
process, and source and target are run in a process each.

A file a command; `checkpoints` is where weights come from, `tokens` what they are of, `patients` what a model
is run on, `proof` how it is compared, `release` whether it may be given away, `shipped` what goes with it.
"""
