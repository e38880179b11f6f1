"""What both backends share, in NumPy alone: order, batches, masks, metrics, checkpoints, the loop."""
