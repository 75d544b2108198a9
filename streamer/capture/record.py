"""The drawn scene as a recording, for those who have none: H.264 in MP4, coded as a cheap camera does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av

from .scenes.shapes import Scene

if TYPE_CHECKING:
    from pathlib import Path

KEY_EVERY_S = 2
# No B-frames and one reference, as cameras send. The rate factor is chosen so that enough of the sensor's noise is kept
# to make decoding cost what a camera's stream costs: about 4 Mbit/s at 1080p25, 1.5 at 720p25.
_OPTIONS = {"preset": "veryfast", "crf": "22", "bf": "0", "refs": "1"}


def record_scene(path: Path, *, size: tuple[int, int], fps: int, seconds: float, seed: int) -> int:
    """Draw the shapes scene and write it; return the number of pictures.

    Args:
        path: an .mp4 file to write.
        size: width, height, px, even.
        fps: pictures a second.
        seconds: how long.
        seed: which scene.
    """
    width, height = size
    scene = Scene(seed, width, height)
    count = max(1, round(fps * seconds))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={**_OPTIONS, "g": str(KEY_EVERY_S * fps)})
        assert isinstance(stream, av.VideoStream)  # noqa: S101  for the type checker: libx264 is video
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(scene.at(number / fps).bgr, format="bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return count
