"""What the contract of heads is tried on: outputs as a family's networks give them, at random."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from streamer.infer.signature import Port, Signature
from streamer.infer.spec import ColorOrder, Fit, InputSpec, ModelSpec, Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

HW = (32, 64)


@dataclass(frozen=True, slots=True)
class Sample:
    """Random outputs of one family, for an input of `HW`."""

    make: Callable[[np.random.Generator], tuple[NDArray[np.generic], ...]]  # floats are made float32
    names: tuple[str, ...] = ("output0",)  # of the outputs, in the order of `make`
    columns: int = 2  # classes as the network counts them
    extras: tuple[str, ...] = ()  # inputs beside the picture

    def outputs(self, seed: int) -> list[NDArray[np.float32]]:
        """Return one picture's outputs as a backend gives them, in the order of the family's reading."""
        made = dict(zip(self.names, self.make(np.random.default_rng(seed)), strict=True))
        return [np.asarray(made[name], np.float32) for name in self.names]

    def signature(self) -> Signature:
        """Return what an ONNX file with these outputs would say."""
        made = self.make(np.random.default_rng(0))
        ports = tuple(
            Port(name, array.shape, "float32" if array.dtype.kind == "f" else str(array.dtype))
            for name, array in zip(self.names, made, strict=True)
        )
        return Signature(hw=HW, outputs=ports, extras=self.extras)


def spec_for(head: str, columns: int, names: tuple[str, ...]) -> ModelSpec:
    """Return a spec of a network of `columns` classes for an input of `HW`."""
    return ModelSpec(
        name="sample",
        path=Path("sample.onnx"),
        digest="sha256:00",
        task=Task.DETECT,
        head=head,
        labels=tuple(f"class {i}" for i in range(columns)),
        input=InputSpec(
            name="images",
            hw=HW,
            color=ColorOrder.RGB,
            scale=1 / 255,
            mean=(0, 0, 0),
            std=(1, 1, 1),
            fit=Fit.LETTERBOX,
            pad=114,
            layout="nchw",
            dtype="float32",
            max_batch=8,
        ),
        output_names=names,
        decided_by="options",
        columns=columns,
    )
