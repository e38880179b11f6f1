"""A table's contract: its columns in order, usable from Spark (DDL) and Arrow alike."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from schemas.errors import ContractError

_ARROW_TYPES = {
    "string": pa.string(),
    "date": pa.date32(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "array<int>": pa.list_(pa.int32()),
    "array<float>": pa.list_(pa.float32()),
    "array<date>": pa.list_(pa.date32()),
}


@dataclass(frozen=True)
class Column:
    """One column. `type` is Spark's simple type name; `nullable`: whether the contract allows a null."""

    name: str
    type: str
    nullable: bool = False
    meaning: str = ""


@dataclass(frozen=True)
class TableSchema:
    """The columns of one table, in their order."""

    name: str
    columns: tuple[Column, ...]

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def ddl(self) -> str:
        """Spark's DDL, e.g. ``patient_id string NOT NULL, visit_id string``."""
        return ", ".join(f"`{c.name}` {c.type}{'' if c.nullable else ' NOT NULL'}" for c in self.columns)

    @property
    def arrow(self) -> pa.Schema:
        return pa.schema([pa.field(c.name, _ARROW_TYPES[c.type], c.nullable) for c in self.columns])

    def check_arrow(self, found: pa.Schema, where: str) -> None:
        """As check_columns, for the schema of an Arrow table or Parquet file."""
        names = {kind: name for name, kind in _ARROW_TYPES.items()}
        kinds = {field.name: _plain(field.type) for field in found}
        self.check_columns({name: names.get(kind, str(kind)) for name, kind in kinds.items()}, where)

    def check_columns(self, found: dict[str, str], where: str) -> None:
        """Refuse a table that lacks one of the columns or has it in another type.

        found: column name → Spark simple type name. Further columns are allowed: a reader selects its own.
        Raises ContractError.
        """
        missing = [c.name for c in self.columns if c.name not in found]
        if missing:
            raise ContractError(
                f"{where} has no column {', '.join(missing)} (it has {', '.join(sorted(found))})",
                f"a {self.name} table has the columns {', '.join(self.column_names)}",
                "write it again with the stage that makes it",
            )
        wrong = [
            f"{c.name} is {found[c.name]}, not {c.type}" for c in self.columns if found[c.name] != c.type
        ]
        if wrong:
            raise ContractError(
                f"{where}: {'; '.join(wrong)}",
                f"the columns of a {self.name} table have fixed types",
                "cast the columns, or write the table again with the stage that makes it",
            )


def _plain(kind: pa.DataType) -> pa.DataType:
    """Without how it is stored: a dictionary's values; a list, whatever its file calls an entry."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return pa.list_(kind.value_type) if pa.types.is_list(kind) else kind
