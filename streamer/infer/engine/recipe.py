"""What an engine is to be: its precision, its batches, its GPU. And what of it TensorRT has to be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.errors import ConfigError

if TYPE_CHECKING:
    from streamer.infer.spec import InputSpec

PRECISIONS = ("f32", "f16", "int8")
OPTIMISATION_LEVEL = 3  # TensorRT's own default, of 0 to 5: it is named so that it stands in the key
# TensorRT's default is all of the GPU's memory, which cameras, decoders and other models need as well.
WORKSPACE_BYTES = 1 << 30

Shape = tuple[int, ...]
Profile = dict[str, tuple[Shape, Shape, Shape]]  # input -> least, best, most


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRecipe:
    """What is built of a model. Two equal recipes give the same engine."""

    precision: str  # f32 | f16 | int8
    max_batch: int  # pictures at once, 1..8, or what the file has fixed
    device: int = 0  # GPU index
    calibration: str | None = None  # sha256 of the calibration canvases, 64 hex digits; int8 only
    workspace_bytes: int | None = None  # the most that a layer may use beside its tensors; None: `WORKSPACE_BYTES`

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: one of them is not allowed.
        """
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision: {self.precision!r} can't be built; allowed are {', '.join(PRECISIONS)}")
        if self.max_batch < 1:
            raise ConfigError(f"batch: {self.max_batch} is too few; at least one picture is computed at once")
        if self.device < 0:
            raise ConfigError(f"device: {self.device} is no GPU; the first one is 0")
        if (self.calibration is not None) != (self.precision == "int8"):
            said = "needs pictures to calibrate on" if self.precision == "int8" else "takes no calibration"
            raise ConfigError(f"precision: {self.precision} {said}")

    @property
    def workspace(self) -> int:
        """The workspace limit that TensorRT is given, bytes."""
        return WORKSPACE_BYTES if self.workspace_bytes is None else self.workspace_bytes


def profile_of(spec: InputSpec, max_batch: int) -> Profile:
    """Return the least, the best and the largest shape of each input; only open axes make a difference.

    The best is the largest: it is under load that speed counts, and then batches are full.

    Raises:
        ConfigError: the file computes another number of pictures at once.
    """
    if spec.fixed_batch and max_batch != spec.max_batch:
        raise ConfigError(f"batch: the model computes {spec.max_batch} pictures at once, always; not {max_batch}")
    if max_batch > spec.max_batch:
        raise ConfigError(f"batch: the model computes at most {spec.max_batch} pictures at once; not {max_batch}")
    least = max_batch if spec.fixed_batch else 1
    picture = (*spec.hw, 3) if spec.layout == "nhwc" else (3, *spec.hw)
    axes = {spec.name: picture, **{extra.name: extra.axes for extra in spec.extras}}

    def shape(name: str, pictures: int) -> Shape:
        return (pictures, *axes[name]) if spec.batched or name != spec.name else axes[name]

    return {name: (shape(name, least), shape(name, max_batch), shape(name, max_batch)) for name in axes}
