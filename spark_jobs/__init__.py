"""Spark jobs: raw claims → diagnoses → vocabulary → sequences → shards.

One thin file a job (what spark-submit is given). `sources` read raw formats, `transforms` are pure
DataFrame → DataFrame, `publish` writes folders that readers can trust.
"""
