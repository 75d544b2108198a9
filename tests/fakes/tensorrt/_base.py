"""What the bindings' objects have in common: no attribute that was not declared, and enums that are no numbers."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

from ._faults import faults
from ._names import missing


class Handle:
    """A C++ object as pybind11 shows it: what is not bound can neither be read nor set."""

    __slots__ = ("__weakref__",)

    if not TYPE_CHECKING:  # mypy must still find the names that are not there

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401  it never returns
            raise missing(type(self).__name__, name)


class _Names(enum.EnumMeta):
    if not TYPE_CHECKING:

        def __getattr__(cls, name: str) -> Any:  # noqa: ANN401  it never returns
            if name.startswith("_"):
                raise AttributeError(name)
            raise missing(cls.__name__, name)


class Names(enum.Enum, metaclass=_Names):
    """An enum of the bindings: equal to none but itself; its number is asked for by `int()` and differs by version.

    The value of a member is its number, or a pair: that of 10.x and that of 11.x.
    """

    def __int__(self) -> int:
        number = self.value
        if isinstance(number, tuple):
            return int(number[0 if faults().major < 11 else 1])
        return int(number)

    __index__ = __int__
