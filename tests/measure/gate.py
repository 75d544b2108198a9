"""What the motion gate costs and saves, and what closer looks find. In the pictures' own time, one core.

python tests/measure/gate.py cost                  one look against decoding, 1920x1080 at 25 frames a second
python tests/measure/gate.py people [--model M]    `one-by-one-person-detection.mp4`: events with and without it
python tests/measure/gate.py zoom [--model M]      the same clip, made small and laid into a picture of 1920x1080
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
from rig import SHARED

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gated_clip import Answers, GatedCamera, Shot, shots_of
from host_picture import on_host

from streamer.capture.pictures import picture_of
from streamer.infer.catalogue import open_catalogue
from streamer.infer.model import open_model
from streamer.infer.recognise import load_spec
from streamer.motion.gate import MotionGate, MotionPlan
from streamer.pixels.convert import picture_of_bgr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from streamer.infer.model import Model

W, H, FPS, SECONDS = 1920, 1080, 25, 20
CLIP = SHARED / "videos" / "one-by-one-person-detection.mp4"
PERSON_PX = 300  # about as long somebody is in the clip


def texture(seed: int, blur: float) -> NDArray[np.uint8]:
    """Return a picture with contrast everywhere, (H, W, 3)."""
    drawn = cv2.GaussianBlur(np.random.default_rng(seed).uniform(0, 255, (H, W, 3)).astype(np.float32), (0, 0), blur)
    scaled: NDArray[np.uint8] = (60 + (drawn - drawn.min()) / np.ptp(drawn) * 120).astype(np.uint8)
    return scaled


def scene(kind: str, number: int, base: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return one picture: `still`, `noisy` (a sensor at dusk), or `busy` (that, and six things that cross)."""
    if kind == "still":
        return base
    drawn = base.astype(np.int16) + rng.integers(-4, 5, (H, W, 1), np.int16)
    if kind == "busy":
        for thing in range(6):
            left = int((number * (5 + 3 * thing) + 300 * thing) % W)
            drawn[150 * thing : 150 * thing + 200, left : left + 150] += 60
    clipped: NDArray[np.uint8] = np.clip(drawn, 0, 255).astype(np.uint8)
    return clipped


def encoded(kind: str) -> bytes:
    """Return a recording, a key frame every two seconds."""
    base, rng, out = texture(1, 4.0), np.random.default_rng(2), io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "g": "50", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = W, H, "yuv420p"
        for number in range(SECONDS * FPS):
            frame = av.VideoFrame.from_ndarray(scene(kind, number, base, rng), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return out.getvalue()


def cost() -> None:
    """Print ms of CPU a frame: decoding on one thread, and the gate, over the same frames."""
    for kind in ("still", "noisy", "busy"):
        decoding = gate_s = 0.0
        frames, gate = 0, MotionGate(MotionPlan())
        with av.open(io.BytesIO(encoded(kind))) as container:
            stream = container.streams.video[0]
            stream.thread_count = 1
            began = time.thread_time()
            for frame in container.decode(stream):
                picture = picture_of(frame)
                decoded = time.thread_time()
                gate.watch(picture, round(frames * 1e9 / FPS))
                frames += 1
                decoding, gate_s, began = (
                    decoding + decoded - began,
                    gate_s + time.thread_time() - decoded,
                    time.thread_time(),
                )
        print(
            f"{kind:6} decoding {1e3 * decoding / frames:.2f} ms a frame, gate {1e3 * gate_s / frames:.3f} ms a frame"
            f" ({1e3 * gate_s / (SECONDS * 10):.2f} ms a look): share {gate_s / decoding:.3f}"
        )


def opened(name: str) -> Model:
    return open_model(
        load_spec(name, catalogue=open_catalogue()),
        backend="openvino", precision="f32", latency=True, floor=0.25, iou=0.5, on_ready=lambda: None, threads=2,
    )  # fmt: skip


def people(model: Model) -> None:
    """Print the events with and without the gate, 5 frames a second."""
    answers = Answers(model)
    for gated in (False, True):
        camera = GatedCamera(answers, model.spec.labels, least={0: 0.4}, gated=gated)
        spells = camera.watch(shots_of(CLIP))
        print(f"gate {'on' if gated else 'off'}: {dict(camera.counts)}")
        for spell in spells:
            print(f"  {spell.name} {spell.begin_s} .. {spell.end_s}")


def small(share: float, begin_s: float = 4.0, end_s: float = 26.0) -> Iterator[Shot]:
    """Lay a part of the clip, made smaller, into a larger noisy picture."""
    base, rng = texture(1, 25.0), np.random.default_rng(1)
    for shot in shots_of(CLIP, end_s):
        if shot.at_s < begin_s:
            continue
        luma, u, v = on_host(shot.picture).planes
        bgr = cv2.cvtColor(
            np.vstack([luma, u.reshape(-1, luma.shape[1]), v.reshape(-1, luma.shape[1])]), cv2.COLOR_YUV2BGR_I420
        )
        made = cv2.resize(bgr, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        drawn = base.astype(np.int16)
        drawn[500 : 500 + made.shape[0], 800 : 800 + made.shape[1]] = made
        drawn += rng.integers(-2, 3, (H, W, 1), np.int16)
        yield Shot(picture_of_bgr(np.clip(drawn, 0, 255).astype(np.uint8)), shot.at_s - begin_s)


def zoom(model: Model) -> None:
    """Print what is found of two people, the first from 2.5 to 15 s, the second from 19 s on."""
    for share in (0.12, 0.18, 0.25, 0.35, 0.5):
        for closer in (None, model.spec.input.hw):
            camera = GatedCamera(Answers(model), model.spec.labels, least=dict.fromkeys(range(80), 0.4), zoom=closer)
            spells = camera.watch(small(share))
            there = [(spell.begin_s, spell.end_s) for spell in spells if spell.name == "person"]
            others = dict(Counter(spell.name for spell in spells if spell.name != "person"))
            length = (
                f"{PERSON_PX * share:.0f} px, {PERSON_PX * share * model.spec.input.hw[1] / W:.0f} of the network's"
            )
            print(f"{length}; zoom {closer is not None}: people {there}, besides {others}; {dict(camera.counts)}")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("cost", "people", "zoom"))
    parser.add_argument("--model", default=str(SHARED / "models" / "yolox_nano_v8layout.onnx"))
    args = parser.parse_args()
    if args.what == "cost":
        cost()
        return 0
    model = opened(args.model)
    (people if args.what == "people" else zoom)(model)
    model.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
