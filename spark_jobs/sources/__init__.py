"""Raw formats: one file a format, each with `read(raw, options) -> RawDiagnoses`.

Imports nothing: Spark's workers load modules of this package, and with them what stands here.
"""
