"""What is OpenVINO's own: its telemetry, bf16, and how its threads end."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
import weakref
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from randomnet import make_random_yolo, sample_picture

from streamer.core.errors import BackendError
from streamer.infer.backends import openvino as adapter
from streamer.infer.backends.base import BackendOptions
from streamer.infer.backends.open import faster_precision, open_backend
from streamer.infer.backends.openvino import has_bf16, load_runtime
from streamer.infer.spec import ColorOrder, Fit, InputSpec

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="needs openvino")

SIZE = 64
SPEC = InputSpec(
    name="images",
    hw=(SIZE, SIZE),
    color=ColorOrder.RGB,
    scale=1 / 255,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    fit=Fit.STRETCH,
    pad=0,
    layout="nchw",
    dtype="float32",
    max_batch=1,
)
OPTIONS = BackendOptions(precision="f32", latency=False, threads=0, on_ready=lambda: None)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("net") / "random.onnx"
    make_random_yolo(path, size=SIZE, classes=8, boxes=3)
    return path


def test_importing_it_sends_nothing_starts_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    """In a process and a home of its own: OpenVINO's telemetry writes an id there, forks and calls a web address."""
    code = """
import os, socket, sys, threading
forks = []
os.register_at_fork(before=lambda: forks.append(1))
real = socket.socket.connect
socket.socket.connect = lambda *a: forks.append(a)
from streamer.infer.backends.openvino import load_runtime
load_runtime().Core()
left = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
sent = [m for m in sys.modules if m.startswith("openvino_telemetry")]
print(forks, left, sent, os.listdir(os.environ["HOME"]))
"""
    env = {"HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=9, check=True)
    assert done.stdout.strip() == "[] [] [] []"


def test_telemetry_stays_importable_for_others() -> None:
    load_runtime()
    assert sys.modules.get("openvino_telemetry", "absent") is not None


def test_a_missing_runtime_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BackendError, match=r'not installed; pip install "streamer\[openvino\]"'):
        load_runtime()


def test_bf16_is_refused_where_the_cpu_has_no_units_for_it(monkeypatch: pytest.MonkeyPatch, network: Path) -> None:
    monkeypatch.setattr(adapter, "has_bf16", lambda: False)
    with pytest.raises(BackendError, match="no units for bf16"):
        open_backend(
            "openvino",
            str(network),
            input_spec=SPEC,
            output_names=("output0",),
            options=replace(OPTIONS, precision="bf16"),
        )


def _outputs(network: Path, options: BackendOptions, kind: str = "openvino") -> NDArray[np.float32]:
    backend = open_backend(kind, str(network), input_spec=SPEC, output_names=("output0",), options=options)
    assert backend.precision == options.precision
    (output,) = backend.collect(backend.submit(sample_picture(SIZE)[None]))
    kept: NDArray[np.float32] = output.copy()
    backend.close()
    return kept


def test_f32_is_f32_and_bf16_is_another(network: Path) -> None:
    """The default of this runtime on a CPU with bf16 units is bf16: f32 must be as good as ONNX Runtime's."""
    exact = _outputs(network, OPTIONS, "onnxruntime")
    assert np.abs(_outputs(network, OPTIONS)[:, 4:] - exact[:, 4:]).max() < 1e-4
    if not has_bf16():
        pytest.skip("needs a CPU with bf16 units")
    assert faster_precision("openvino") == "bf16"
    off = np.abs(_outputs(network, replace(OPTIONS, precision="bf16"))[:, 4:] - exact[:, 4:]).max()
    assert 1e-4 < off < 0.2


class HungRequest:
    """A request that is never done, until it is let go. To free the real one would wait for it, without a limit."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def start_async(self) -> None:
        pass

    def wait_for(self, _limit_ms: int) -> bool:
        return self.go.wait(0.01)

    def set_tensor(self, name: str, tensor: object) -> None:
        pass

    def get_tensor(self, _port: object) -> Any:  # noqa: ANN401  like OpenVINO's
        return SimpleNamespace(data=np.zeros(1, np.float32))


def test_a_request_that_hangs_is_given_up_and_never_freed(network: Path) -> None:
    backend = open_backend("openvino", str(network), input_spec=SPEC, output_names=("output0",), options=OPTIONS)
    assert isinstance(backend, adapter.OpenVinoBackend)
    batch = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    backend.collect(backend.submit(batch))
    hung = HungRequest()
    backend._requests[1] = hung
    backend._pool._limit_s = 0.05
    ticket = backend.submit(batch)
    with pytest.raises(BackendError, match="no answer"):
        backend.collect(ticket)
    assert not backend.ready(ticket)
    backend.close()
    assert backend._requests[1] is hung
    kept = weakref.ref(backend)
    del backend
    assert kept() is not None  # by its thread, whose name tells the process to leave without freeing anything
    assert [t.name for t in threading.enumerate() if t.name.startswith("streamer-openvino-")]
    hung.go.set()


@pytest.mark.timeout(60)
@pytest.mark.slow
def test_closing_in_the_very_moment_of_an_answer_never_hangs(network: Path) -> None:
    """Freeing a request whose completion callback still wants the interpreter's lock hung for ever."""
    ready = threading.Semaphore(0)
    options = replace(OPTIONS, on_ready=ready.release)
    batch = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    for _ in range(25):
        backend = open_backend("openvino", str(network), input_spec=SPEC, output_names=("output0",), options=options)
        backend.submit(batch)
        backend.collect(backend.submit(batch))
        backend.close()
        assert ready.acquire(timeout=5)
        assert ready.acquire(timeout=5)
