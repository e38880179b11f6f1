"""Files of the stages: written by tasks, published whole, read by workers straight into Arrow."""
