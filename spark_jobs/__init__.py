"""Spark jobs: raw claims → diagnoses → vocabulary → sequences → shards.

One thin file a job (what spark-submit is given). `sources` read raw formats, `transforms` work on rows,
`files` writes folders that readers can trust and reads them in workers, `growth` is for claims that keep
coming, `generator` makes claims up.
"""
