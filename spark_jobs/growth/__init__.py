"""Claims that keep coming: a folder that grows, and what later stages bring up to date."""
