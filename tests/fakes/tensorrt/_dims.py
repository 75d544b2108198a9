"""Small values: shapes, blocks of host memory, and what a data type is in numpy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, overload

import numpy as np

from ._base import Handle
from ._enums import DataType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Dims(Handle):
    """A shape. Compared with a tuple or a list, never with another shape."""

    MAX_DIMS = 8
    __hash__ = None  # type: ignore[assignment]  # an old pybind11 class
    __slots__ = ("_shape",)

    def __init__(self, shape: Sequence[int] = ()) -> None:
        if len(shape) > self.MAX_DIMS:
            raise ValueError(f"at most {self.MAX_DIMS} dimensions")
        self._shape = tuple(int(length) for length in shape)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (tuple, list)):
            raise TypeError("__eq__(): incompatible function arguments: a tuple or a list")
        return self._shape == tuple(other)

    def __len__(self) -> int:
        return len(self._shape)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[int, ...]: ...
    def __getitem__(self, index: int | slice) -> int | tuple[int, ...]:
        return self._shape[index]

    def __iter__(self) -> Iterator[int]:
        return iter(self._shape)

    def __repr__(self) -> str:
        return repr(self._shape)


ShapeLike = Dims | tuple[int, ...] | list[int]


class IHostMemory(Handle):
    """A block of host memory. The real one is a buffer too: `bytes()` is what works on both."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def nbytes(self) -> int:
        return len(self._data)

    @property
    def dtype(self) -> DataType:
        return DataType.INT8

    def __bytes__(self) -> bytes:
        return self._data


Buffer = bytes | bytearray | memoryview | IHostMemory

_NUMPY: dict[DataType, type[np.generic]] = {
    DataType.FLOAT: np.float32,
    DataType.HALF: np.float16,
    DataType.INT8: np.int8,
    DataType.INT32: np.int32,
    DataType.INT64: np.int64,
    DataType.BOOL: np.bool_,
    DataType.UINT8: np.uint8,
}


def nptype(trt_type: DataType) -> type[np.generic]:
    """Return the numpy type of a data type.

    Raises:
        TypeError: numpy has none (bf16, fp8, int4).
    """
    if trt_type not in _NUMPY:
        raise TypeError(f"Could not resolve TensorRT datatype {trt_type.name} to an equivalent numpy datatype.")
    return _NUMPY[trt_type]


def volume(iterable: ShapeLike) -> int:
    """Return how many elements a shape has."""
    return math.prod(tuple(iterable))
