"""Draw pictures whose planes end where the process may not read: it dies if a kernel reads beyond them.

python guarded_draw.py ROWS: with ROWS above 0 the frames are said to be so much higher than they are.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
from draw_reference import PLACES, PLAIN, drawn, shot
from host_gpu import HostGpu

from streamer.core.frame import PixelFormat
from streamer.cuda import draw


def main() -> None:
    beyond = int(sys.argv[1])
    vars(draw)["kernel_image"] = lambda _info: b""  # the kernels are compiled already
    rng = np.random.default_rng(9)
    for place in PLACES.values():
        for pixels in ("nv12", "p010", "packed"):
            for hw in ((1, 1), (31, 45), (64, 48)):
                for area in (False, True):
                    gpu = HostGpu(guarded=True)
                    target = replace(PLAIN, hw=(33, 40), area=area)
                    drawing = shot(rng, pixels, hw).put(gpu, place(hw, target.hw), PixelFormat.RGB, (5, 6))
                    higher = replace(drawing, frame_hw=(hw[0] + beyond, hw[1]))
                    drawn(gpu, target, [higher])


if __name__ == "__main__":
    main()
