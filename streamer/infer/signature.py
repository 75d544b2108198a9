"""What stands on the outside of a network: its inputs and outputs. Passive data."""

from __future__ import annotations

from dataclasses import dataclass

HW = tuple[int, int]  # height, width, px


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output of the graph."""

    name: str
    shape: tuple[int | None, ...]  # None: decided when it runs
    dtype: str  # numpy's name, or ONNX's own where numpy has none

    @property
    def rank(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    def __str__(self) -> str:
        """Return `output0 [1, 84, 8400]`."""
        return f"{self.name} [{', '.join('?' if n is None else str(n) for n in self.shape)}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """All that a family can be told by before the network has run."""

    hw: HW  # of the picture it is given, px
    outputs: tuple[Port, ...]
    extras: tuple[str, ...] = ()  # names of the inputs beside the picture
    batched: bool = True  # whether its input has a batch axis

    def named(self, *names: str) -> tuple[Port, ...] | None:
        """Return the outputs of these names in this order, or None if one is missing."""
        found = {port.name: port for port in self.outputs}
        return tuple(found[name] for name in names) if all(name in found for name in names) else None


def shapes_text(ports: tuple[Port, ...]) -> str:
    """Return `output0 [1, 84, 8400] and output1 [1, 32, 160, 160]`."""
    return " and ".join(map(str, ports))


def hw_text(input_hw: HW) -> str:
    """Return a size as people say it, width first."""
    return f"{input_hw[1]}x{input_hw[0]}"
