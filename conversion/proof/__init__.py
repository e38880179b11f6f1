"""Source and target run side by side, a process each, and compared."""
