"""Which columns of a Parquet part have a dictionary."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.diagnoses import DIAGNOSES
from schemas.sequences import SEQUENCES
from spark_jobs.files.part_formats import MANY_VALUES, MeasuredFile, ParquetPart


@pytest.mark.parametrize("table", [DIAGNOSES, SEQUENCES], ids=lambda table: table.name)
def test_all_columns_but_those_of_many_values_have_a_dictionary_lists_too(table):
    stream = io.BytesIO()
    part = ParquetPart(MeasuredFile(stream), table.arrow)
    values = {pa.string(): "x", pa.bool_(): True}
    row = {
        field.name: [3] * 5 if pa.types.is_list(field.type) else values.get(field.type, 3)
        for field in table.arrow
    }
    part.write(pa.RecordBatch.from_pylist([row] * 100, table.arrow))
    part.close()
    group = pq.ParquetFile(io.BytesIO(stream.getvalue())).metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    without = {
        column.path_in_schema.partition(".")[0] for column in columns if not column.has_dictionary_page
    }
    # Parquet has none for booleans.
    assert without == {*MANY_VALUES, "prolonged_los"} & set(table.column_names)
