"""One self-contained HTML page per run, read from the run's folders. Imports `schemas` only."""
