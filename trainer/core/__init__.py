"""What both backends share, in NumPy alone: who reads what, batches, masks, schedule, metrics, checkpoints, the loop."""
