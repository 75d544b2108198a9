"""YOLOv6 as its exporter leaves it without NMS: [B, A, 5+C], decoded, with an objectness of 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .doubts import not_probabilities
from .family import ULTRALYTICS, Family
from .v5 import V5Head
from .v8 import against_centres
from .yolox import read_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from streamer.infer.spec import ModelSpec


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    rows = outputs[0]
    if (rows[..., 4] != 1).any():
        return "its objectness is not 1 everywhere"
    return not_probabilities(rows[..., 5:]) or against_centres(rows[..., :4].reshape(-1, 4))


FAMILY = Family(
    name="yolov6",
    needs="[B, A, 5+C] with an objectness of 1",
    look=ULTRALYTICS,
    read=lambda signature: read_rows("yolov6", signature),
    open=lambda _: V5Head(),
    against=_against,
)
