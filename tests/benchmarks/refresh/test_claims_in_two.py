"""The claims of a drop, and the digest that says whether two builds hold the same rows."""

import os

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.refresh.claims_in_two import rows_digest, split_claims


def test_the_newest_claims_are_the_drop(tmp_path):
    os.makedirs(tmp_path / "claims")
    days = pa.array(range(1000), pa.int32()).cast(pa.date32())
    table = pa.table({"patient_id": [str(n % 7) for n in range(1000)], "admit_date": days})
    pq.write_table(table, tmp_path / "claims" / "part-00000.parquet")
    counts = split_claims(str(tmp_path / "claims"), str(tmp_path / "landing"), str(tmp_path / "new"), 0.01)
    new = pq.read_table(tmp_path / "new")
    old = pq.read_table(tmp_path / "landing" / "claims" / "old.parquet")
    assert counts["new claims"] == new.num_rows == 10
    assert counts["claims"] == old.num_rows + new.num_rows
    assert min(new["admit_date"].to_pylist()) > max(old["admit_date"].to_pylist())
    assert counts["patients with claims"] == counts["patients with new claims"] == 7


def test_a_digest_is_that_of_the_rows_in_any_order_and_files(tmp_path):
    rows = [{"id": str(n), "codes": [n, n + 1]} for n in range(20)]
    os.makedirs(tmp_path / "one")
    os.makedirs(tmp_path / "two" / "split=a")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "one" / "a.parquet")
    pq.write_table(pa.Table.from_pylist(rows[::-1][:5]), tmp_path / "two" / "split=a" / "a.parquet")
    pq.write_table(pa.Table.from_pylist(rows[:15]), tmp_path / "two" / "b.parquet")
    one, two = (rows_digest(f"{tmp_path}/{name}/**/*.parquet") for name in ("one", "two"))
    assert one == two
    pq.write_table(pa.Table.from_pylist(rows[:14] + rows[:1]), tmp_path / "two" / "b.parquet")
    assert rows_digest(f"{tmp_path}/two/**/*.parquet") != one
