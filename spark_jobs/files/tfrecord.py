"""`rows.write.format("tfrecord").mode("overwrite").save(path)`: TFRecord files of `tf.train.Example`s.

For a notebook or a job of one's own, after `spark.dataSource.register(TfRecordDataSource)`; the project's
jobs write the same files beside others through publish.write_parts. Partition k that has rows becomes
`part-0000k.tfrecord`; the commit protocol is that of part_files.
"""

from __future__ import annotations

from pyspark.sql.datasource import DataSource
from pyspark.sql.types import ArrayType, ByteType, DataType, IntegerType, LongType, ShortType, StructType

from schemas.errors import ContractError
from schemas.shards import TFRECORD
from spark_jobs.files.part_files import Output, PartWriter, PassOn

_WHOLE_NUMBERS = (ByteType, ShortType, IntegerType, LongType)


class TfRecordDataSource(DataSource):
    """Format `tfrecord`, for writing only."""

    @classmethod
    def name(cls) -> str:
        return TFRECORD

    def writer(self, schema: StructType, overwrite: bool) -> PartWriter:
        wrong = [field.name for field in schema if not _is_supported(field.dataType)]
        if wrong:
            raise ContractError(
                f"column {', '.join(wrong)} is neither a whole number nor a list of them",
                "a TFRecord of this project holds int64 lists",
                "leave it out, or cast it",
            )
        return PartWriter({TFRECORD: Output(self.options["path"], TFRECORD)}, PassOn((TFRECORD,)), overwrite)


def _is_supported(kind: DataType) -> bool:
    return isinstance(kind.elementType if isinstance(kind, ArrayType) else kind, _WHOLE_NUMBERS)
