"""The part of pyarrow's legacy Parquet API that petastorm 0.13.1 still uses, on fsspec and today's `pyarrow.parquet`.

pyarrow removed `ParquetDataset(...).pieces`, `ParquetDatasetPiece`, `pyarrow.localfs` and `pyarrow.hdfs`. Set-up
copies this file into the petastorm package as `petastorm/legacy_parquet.py`, and its modules import it where they
imported `pyarrow.parquet` (see petastorm-0.13.1.patch).

Not rebuilt: `filters=` and petastorm's own `hdfs://` driver; both raise and say what to do instead.
"""

import os

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem
from pyarrow.parquet import ParquetFile, read_metadata

localfs = LocalFileSystem()


class HadoopFileSystem:
    """Stands in for the removed `pyarrow.hdfs.HadoopFileSystem`, which petastorm subclasses at import."""

    def __init__(self, *args, **kwargs):
        raise NotImplementedError(
            "petastorm's hdfs:// driver needs pyarrow.hdfs, which is gone: pass filesystem=fsspec.filesystem('hdfs')"
        )


class PartitionSet:
    """The values of one `name=value` folder level, in the order found; a piece refers to them by index."""

    def __init__(self, name):
        self.name = name
        self.keys = []

    def get_index(self, key):
        if key not in self.keys:
            self.keys.append(key)
        return self.keys.index(key)

    def value(self, index):
        """Keys that are all whole numbers are read as such, as pyarrow did."""
        if all(key.lstrip("-").isdigit() for key in self.keys):
            return int(self.keys[index])
        return self.keys[index]

    @property
    def dictionary(self):
        return pa.array([self.value(index) for index in range(len(self.keys))])


class ParquetPartitions(list):
    """A list of `PartitionSet`, outermost folder first."""

    @property
    def partition_names(self):
        return {partition.name for partition in self}

    def get_index(self, name, key):
        for partition in self:
            if partition.name == name:
                return partition.get_index(key)
        self.append(PartitionSet(name))
        return self[-1].get_index(key)


class ParquetDatasetPiece:
    """One Parquet file, or one row group of it."""

    def __init__(self, path, open_file_func=None, row_group=None, partition_keys=None):
        self.path = path
        self.row_group = row_group
        self.partition_keys = partition_keys or []
        self._open = open_file_func or localfs.open

    def get_metadata(self):
        with self._open(self.path) as file:
            return read_metadata(file)

    def read(self, columns=None, partitions=None, use_threads=False):
        """Read the piece into a `pyarrow.Table`, its partition values appended as columns.

        Checksums of pages are compared, where the file has them.
        """
        columns = None if columns is None else sorted(columns)
        with self._open(self.path) as file:
            parquet = ParquetFile(file, page_checksum_verification=True)
            if self.row_group is None:
                table = parquet.read(columns=columns, use_threads=use_threads)
            else:
                table = parquet.read_row_group(self.row_group, columns=columns, use_threads=use_threads)
        by_name = {partition.name: partition for partition in partitions or ()}
        for name, index in self.partition_keys:
            value = by_name[name].value(index)
            table = table.append_column(name, pa.array([value] * table.num_rows))
        return table


class ParquetDataset:
    """The files of a folder, or a list of files, as pieces."""

    def __init__(self, path_or_paths, filesystem=None, filters=None, **_unused):
        if filters is not None:
            raise NotImplementedError("petastorm's filters= is not supported: select the files, or use predicate=")
        self.fs = filesystem or localfs
        self.paths = path_or_paths
        self.partitions = ParquetPartitions()
        self.metadata_path = self.common_metadata_path = None
        if isinstance(path_or_paths, str) and self.fs.isdir(path_or_paths):
            self.pieces = self._find_pieces(path_or_paths.rstrip("/"))
        else:
            files = [path_or_paths] if isinstance(path_or_paths, str) else path_or_paths
            self.pieces = [ParquetDatasetPiece(path, self.fs.open) for path in files]
        self.metadata = self._read_metadata(self.metadata_path)
        self.common_metadata = self._read_metadata(self.common_metadata_path) or self.metadata

    def _find_pieces(self, folder):
        pieces = []
        for path in sorted(self.fs.find(folder)):
            *folders, name = os.path.relpath(path, folder).split("/")
            if name == "_metadata":
                self.metadata_path = path
            elif name == "_common_metadata":
                self.common_metadata_path = path
            if name.endswith(".crc") or any(part.startswith(("_", ".")) for part in [*folders, name]):
                continue
            levels = [part.split("=", 1) for part in folders if "=" in part]
            keys = [(key, self.partitions.get_index(key, value)) for key, value in levels]
            pieces.append(ParquetDatasetPiece(path, self.fs.open, partition_keys=keys))
        return pieces

    def _read_metadata(self, path):
        if path is None:
            return None
        with self.fs.open(path) as file:
            return read_metadata(file)
