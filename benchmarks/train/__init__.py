"""Times training on the same shards, model and machine: ours, and what it is measured against."""
