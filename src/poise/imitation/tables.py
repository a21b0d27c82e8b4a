"""Parquet tables of demonstrations: frames, episodes and tasks."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from poise.errors import PoiseError
from poise.files import explained, write_atomically
from poise.imitation.layout import Feature

_COMPRESSION = "snappy"


def _arrow() -> Any:
    """pyarrow, which only demonstrations need."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise PoiseError(f"demonstrations need pyarrow ({error}); install it: pip install 'poise[push]'") from error
    return pyarrow


def png(picture: NDArray[np.uint8 | np.uint16]) -> bytes:
    """A picture (C, H, W), of one channel or three, as the content of a file; of 16 bits with one channel only."""
    content = io.BytesIO()
    channels_last = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
    Image.fromarray(np.ascontiguousarray(channels_last)).save(content, format="PNG", compress_level=1)
    return content.getvalue()


def frames_table(columns: Mapping[str, NDArray[Any]], features: Mapping[str, Feature]) -> Any:
    """Frames (T, ...) by feature as a table; the `datasets` library finds pictures in it by its metadata."""
    arrow = _arrow()
    picture = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    arrays = {}
    for key, feature in features.items():
        values = columns[key]
        if feature.is_picture:
            rows = [{"bytes": png(value), "path": None} for value in values]
            arrays[key] = arrow.array(rows, picture)
        else:
            arrays[key] = _numbers(arrow, values, feature)
    described = {"info": {"features": {key: _for_datasets(feature) for key, feature in features.items()}}}
    return arrow.table(arrays).replace_schema_metadata({"huggingface": json.dumps(described)})


def _numbers(arrow: Any, values: NDArray[Any], feature: Feature) -> Any:
    kind = arrow.from_numpy_dtype(np.dtype(feature.dtype))
    if feature.shape == (1,):
        return arrow.array(values.reshape(-1), kind)
    if len(feature.shape) == 1:
        flat = arrow.array(np.ascontiguousarray(values).reshape(-1), kind)
        return arrow.FixedSizeListArray.from_arrays(flat, feature.shape[0])
    return arrow.array(values.tolist())


def _for_datasets(feature: Feature) -> dict[str, Any]:
    if feature.is_picture:
        return {"_type": "Image"}
    value = {"dtype": feature.dtype, "_type": "Value"}
    if feature.shape in ((), (1,)):
        return value
    if len(feature.shape) == 1:
        return {"feature": value, "length": feature.shape[0], "_type": "Sequence"}
    return {"shape": list(feature.shape), "dtype": feature.dtype, "_type": f"Array{len(feature.shape)}D"}


def tasks_table(tasks: Sequence[str]) -> Any:
    """What is to be done, numbered, with what pandas wants to make the text its index."""
    arrow = _arrow()
    columns = [
        {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64"},
        {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object"},
    ]
    described = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    table = arrow.table({"task_index": arrow.array(range(len(tasks)), arrow.int64()), "task": list(tasks)})
    return table.replace_schema_metadata({"pandas": json.dumps(described)})


def rows_table(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A table of mappings."""
    return _arrow().Table.from_pylist([dict(row) for row in rows])


def write_table(path: Path, table: Any) -> None:
    """The old file stays if the disk refuses.

    Raises:
        PoiseError: it does.
    """
    content = io.BytesIO()
    _arrow().parquet.write_table(table, content, compression=_COMPRESSION)
    write_atomically(path, content.getvalue())


def read_table(path: Path, columns: Iterable[str] | None = None) -> Any:
    """A table, or some of its columns.

    Raises:
        PoiseError: it is missing or damaged, or lacks a column.
    """
    arrow = _arrow()
    with explained(f"read {path}"):
        content = path.read_bytes()
    try:
        wanted = None if columns is None else list(columns)
        names = arrow.parquet.read_schema(io.BytesIO(content)).names
        absent = [name for name in wanted or () if name not in names]
        if absent:
            raise PoiseError(f"{path} is damaged: it has no column '{absent[0]}'")
        # In this thread: an episode is small, and threads of arrow's that still end can abort a process that ends.
        return arrow.parquet.read_table(io.BytesIO(content), columns=wanted, use_threads=False, pre_buffer=False)
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise PoiseError(
            f"{path} is damaged ({' '.join(str(error).split())[:120]}); expected a parquet table"
        ) from error
