"""`python -m benchmarks.preprocess`: claims → shards, timed stage by stage, beside DuckDB and pandas."""
