import pyarrow as pa
import pytest

from schemas import claims, diagnoses, sequences, shards, vocabulary
from schemas.errors import ContractError
from schemas.table import Column, TableSchema

TABLE = TableSchema("pets", (Column("name", "string"), Column("born", "date", nullable=True)))
ALL = (
    claims.CLAIMS,
    claims.PATIENTS,
    diagnoses.DIAGNOSES,
    diagnoses.REJECTED,
    sequences.SEQUENCES,
    shards.SHARDS,
    vocabulary.VOCABULARY,
)


@pytest.mark.parametrize("schema", ALL, ids=lambda schema: schema.name)
def test_every_contract_has_ddl_and_arrow_form(schema):
    assert schema.arrow.names == list(schema.column_names)
    assert all(f"`{column.name}` {column.type}" in schema.ddl for column in schema.columns)
    assert [field.nullable for field in schema.arrow] == [column.nullable for column in schema.columns]


def test_further_columns_are_allowed():
    TABLE.check_columns({"name": "string", "born": "date", "colour": "string"}, "here")


def test_a_missing_column_is_named_with_what_was_found():
    with pytest.raises(ContractError, match=r"here has no column born \(it has colour, name\)"):
        TABLE.check_columns({"name": "string", "colour": "string"}, "here")


def test_another_type_is_refused():
    with pytest.raises(ContractError, match="born is string, not date"):
        TABLE.check_columns({"name": "string", "born": "string"}, "here")


def test_arrow_columns_are_checked_by_the_same_names_dictionaries_by_what_they_hold():
    names, days = pa.array(["a"]).dictionary_encode(), pa.array([0], pa.date32())
    TABLE.check_arrow(pa.table({"name": names, "born": days, "colour": days}).schema, "here")
    with pytest.raises(ContractError, match="born is string, not date"):
        TABLE.check_arrow(pa.table({"name": names, "born": names}).schema, "here")
    with pytest.raises(ContractError, match="born is double, not date"):
        TABLE.check_arrow(pa.table({"name": names, "born": pa.array([0.5])}).schema, "here")


def test_an_arrow_list_may_call_its_entries_what_it_likes():
    table = TableSchema("lists", (Column("codes", "array<int>"),))
    for name in ("element", "item"):
        table.check_arrow(pa.schema([("codes", pa.list_(pa.field(name, pa.int32())))]), "here")
    with pytest.raises(ContractError, match="codes is list<item: int64>, not array<int>"):
        table.check_arrow(pa.schema([("codes", pa.list_(pa.int64()))]), "here")
