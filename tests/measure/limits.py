"""The things a pipeline is measured against, each in a process of its own; prints {"fps": ...}.

python tests/measure/limits.py make --model net.onnx --clip clip.mp4
python tests/measure/limits.py bare --model net.onnx --precision bf16
python tests/measure/limits.py plain --model net.onnx --clip clip.mp4 --port 1883
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "infer"))
BARE_S = 8.0


def make(args: argparse.Namespace) -> None:
    """A network of YOLO11n's cost with random weights, and a 1920x1080 H.264 clip with movement and noise."""
    import av  # noqa: PLC0415
    import cv2  # noqa: PLC0415
    from randomnet import make_random_yolo  # noqa: PLC0415

    make_random_yolo(Path(args.model), size=640)
    rng = np.random.default_rng(1)
    back = cv2.GaussianBlur(rng.integers(0, 255, (1080, 1920, 3), dtype=np.uint8), (0, 0), 5)
    patch = cv2.resize(rng.integers(0, 255, (20, 12, 3), dtype=np.uint8), (240, 400))
    noise = [rng.integers(0, 8, (1080, 1920, 3), dtype=np.uint8) for _ in range(4)]
    with av.open(args.clip, "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        stream.options = {"preset": "veryfast", "g": "50", "bf": "0", "crf": "26"}
        for i in range(round(args.seconds * 25)):
            frame = cv2.add(back, noise[i % 4])
            for k in range(3):
                x, y = int(40 + (i * (5 + 2 * k)) % 1600), 120 + 300 * k
                frame[y : y + 240, x : x + 240] = patch[:240]
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    print(json.dumps({"fps": 0}))


def bare(args: argparse.Namespace) -> None:
    """OpenVINO, two requests in flight on two streams, one constant input, nothing else."""
    from streamer.infer.backends.openvino import load_runtime  # noqa: PLC0415  without its telemetry

    ov = load_runtime()

    core = ov.Core()
    compiled = core.compile_model(
        args.model,
        "CPU",
        {"INFERENCE_PRECISION_HINT": args.precision, "NUM_STREAMS": 2, "PERFORMANCE_HINT": "THROUGHPUT"},
    )
    queue = ov.AsyncInferQueue(compiled, 2)
    picture = np.random.default_rng(0).random((1, 3, 640, 640), dtype=np.float32)
    for _ in range(6):
        queue.start_async({0: picture})
    queue.wait_all()
    began, count = time.monotonic(), 0
    while time.monotonic() - began < BARE_S:
        queue.start_async({0: picture})
        count += 1
    queue.wait_all()
    print(json.dumps({"fps": count / (time.monotonic() - began)}))


def plain(args: argparse.Namespace) -> None:
    """The loop that people write: VideoCapture, letterbox, blobFromImage, onnxruntime, NMSBoxes, paho."""
    import cv2  # noqa: PLC0415
    import onnxruntime as ort  # noqa: PLC0415
    from paho.mqtt.client import Client  # noqa: PLC0415
    from paho.mqtt.enums import CallbackAPIVersion  # noqa: PLC0415

    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", args.port)
    client.loop_start()
    session = ort.InferenceSession(args.model, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    capture = cv2.VideoCapture(args.clip)
    count, began = 0, 0.0
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        scale = 640 / max(frame.shape[:2])
        small = cv2.resize(frame, (round(frame.shape[1] * scale), round(frame.shape[0] * scale)))
        canvas = np.full((640, 640, 3), 114, np.uint8)
        top, left = (640 - small.shape[0]) // 2, (640 - small.shape[1]) // 2
        canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
        output = session.run(None, {name: cv2.dnn.blobFromImage(canvas, 1 / 255, swapRB=True)})[0][0].T
        scores = output[:, 4:].max(1)
        keep = scores > 0.25
        rows, scores, classes = output[keep], scores[keep], output[keep, 4:].argmax(1)
        boxes = np.c_[rows[:, :2] - rows[:, 2:4] / 2, rows[:, 2:4]]
        chosen = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), 0.25, 0.5)
        found = [
            {"class": int(classes[i]), "score": float(scores[i]), "box": (boxes[i] / scale).tolist()} for i in chosen
        ]
        client.publish("plain/detections", json.dumps(found))
        if count == 0:
            began = time.monotonic()
        count += 1
    elapsed = time.monotonic() - began
    client.loop_stop()
    print(json.dumps({"fps": (count - 1) / elapsed}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("make", "bare", "plain"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--clip")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--port", type=int, default=1883)
    args = parser.parse_args()
    {"make": make, "bare": bare, "plain": plain}[args.what](args)


if __name__ == "__main__":
    main()
