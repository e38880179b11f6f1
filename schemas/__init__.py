"""The on-disk contracts: what each stage may read and must write.

Nothing here imports another package of this project, Spark or a deep-learning framework, so that every stage
(and a user's own tools) can import it anywhere.
"""
