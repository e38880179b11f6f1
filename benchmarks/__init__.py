"""What `make bench…` runs. Numbers and how they were taken: README.md."""
