"""What programs with several commands have in common. Imports nothing of ours but schemas."""
