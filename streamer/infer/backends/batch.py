"""A batch of pixels on its way into a network: checked, and normalised where the runtime can't do it in its graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamer.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from streamer.infer.spec import InputSpec

ANSWER_LIMIT_S = 20.0  # a batch takes milliseconds to seconds: after this the runtime hangs
FIRST_ANSWER_LIMIT_S = 60.0  # the first one: what a runtime does late, it does then
DTYPES = ("float32", "float16", "uint8")


def check_input(spec: InputSpec) -> None:
    """Check that a spec can be fed at all.

    Raises:
        BackendError: the dtype or layout is unknown, or whole numbers are to be normalised.
    """
    if spec.dtype not in DTYPES:
        raise BackendError(f"input {spec.name!r}: dtype {spec.dtype} is not supported; allowed are {', '.join(DTYPES)}")
    if spec.layout not in ("nchw", "nhwc"):
        raise BackendError(f"input {spec.name!r}: layout {spec.layout!r} is not supported; allowed are nchw, nhwc")
    if spec.dtype == "uint8" and not is_identity(spec):
        raise BackendError(f"input {spec.name!r} takes whole numbers (uint8): scale, mean and std must be 1, 0 and 1")


def check_names(spec: InputSpec, inputs: Sequence[str], outputs: Collection[str], wanted: Sequence[str]) -> None:
    """Check that a loaded network has the inputs of the spec, and the outputs that are wanted.

    Raises:
        BackendError: it has others.
    """
    expected = [spec.name, *(extra.name for extra in spec.extras)]
    if sorted(inputs) != sorted(expected):
        asked = "the one input" if len(expected) == 1 else "the inputs"
        raise BackendError(f"expected {asked} {', '.join(map(repr, expected))}, it has {', '.join(inputs)}")
    missing = set(wanted) - set(outputs)
    if missing:
        raise BackendError(f"it has no output {', '.join(sorted(missing))}")


def is_identity(spec: InputSpec) -> bool:
    """Whether the network takes the pixels as they are."""
    return spec.scale == 1.0 and not any(spec.mean) and spec.std == (1.0, 1.0, 1.0)


def check_batch(batch: NDArray[np.uint8], spec: InputSpec) -> None:
    """Check a batch's shape and dtype.

    Raises:
        ValueError: with the expected and the actual.
    """
    least = spec.max_batch if spec.fixed_batch else 1
    fits = batch.ndim == 4 and batch.shape[1:] == (*spec.hw, 3) and least <= batch.shape[0] <= spec.max_batch
    if not fits or batch.dtype != np.uint8:
        pictures = f"{least}..{spec.max_batch}"
        expected = f"({pictures}, {spec.hw[0]}, {spec.hw[1]}, 3) uint8"
        raise ValueError(f"batch: expected {expected}, got {batch.shape} {batch.dtype}")


def extra_values(spec: InputSpec, pictures: int) -> dict[str, NDArray[np.generic]]:
    """Return what the inputs beside the picture are given for so many pictures, (B, 2) or (B, h, w) each."""
    return {extra.name: np.full((pictures, *extra.axes), extra.row, extra.dtype) for extra in spec.extras}


class Normaliser:
    """From (B, H, W, 3) 8-bit pixels to the network's own dtype, layout and axes, through one table a channel."""

    def __init__(self, spec: InputSpec) -> None:
        h, w = spec.hw
        shape = (h, w, 3) if spec.layout == "nhwc" else (3, h, w)
        self._nhwc = spec.layout == "nhwc"
        self._batched = spec.batched
        self._out = np.empty((spec.max_batch, *shape), np.dtype(spec.dtype))
        self._float = np.empty(shape, np.float32)
        self._planes = [np.empty(spec.hw, np.uint8) for _ in range(3)]
        levels = np.arange(256)[:, None]
        values = (levels * spec.scale - np.array(spec.mean)) / np.array(spec.std)
        self._tables = values.astype(np.float32)  # (256, 3)

    def __call__(self, batch: NDArray[np.uint8]) -> NDArray[np.generic]:
        """Return the network's input; valid until the next call."""
        out = self._out[: len(batch)]
        for pixels, tensor in zip(batch, out, strict=True):
            if self._out.dtype == np.uint8:
                tensor[:] = pixels if self._nhwc else pixels.transpose(2, 0, 1)
            elif self._out.dtype == np.float32:
                self._normalise(pixels, tensor)
            else:
                self._normalise(pixels, self._float)
                tensor[:] = self._float
        return out if self._batched else out[0]

    def _normalise(self, pixels: NDArray[np.uint8], out: NDArray[np.generic]) -> None:
        if self._nhwc:
            cv2.LUT(pixels, self._tables[None], dst=out)
            return
        cv2.split(pixels, self._planes)
        for channel, plane in enumerate(self._planes):
            cv2.LUT(plane, np.ascontiguousarray(self._tables[:, channel]), dst=out[channel])
