"""`embeddings/`: a model's vectors of patients and of codes.

| file | one row |
|---|---|
| codes.parquet | a token of the model's vocabulary |
| patients-00000.parquet, … | a patient, in the order of the sequences' or shards' files, one file each |
| manifest.json | written last; `hidden_size`, `pooling`, `source` (sequences or shards) |

Made of sequences, patients have patient_id and split, so the folder is patients' data; made of shards,
they have neither.
"""

from schemas.table import Column, TableSchema

KIND = "embeddings"
CODES_FILE = "codes.parquet"
EMBEDDING = "embedding"

CODES = TableSchema(
    "codes",
    (
        Column("token_id", "int"),
        Column("token", "string"),
        Column(EMBEDDING, "array<float>", meaning="(H,) the row of the embedding table"),
    ),
)
PATIENTS = TableSchema(
    "patients",
    (
        Column("patient_id", "string", nullable=True, meaning="null from shards"),
        Column("split", "string", nullable=True, meaning="null from shards"),
        Column("num_codes", "int", meaning="codes that the vector is of, the latest"),
        Column(EMBEDDING, "array<float>", meaning="(H,) mean or first of the encoder's output"),
    ),
)


def patients_name(number: int) -> str:
    return f"patients-{number:05d}.parquet"
