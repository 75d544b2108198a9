from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from streamer.core.errors import BackendError
from streamer.infer.backends.base import BackendOptions
from streamer.infer.backends.fake import FakeBackend, Faults, from_script, open_fake
from streamer.infer.spec import ColorOrder, Fit, InputSpec

if TYPE_CHECKING:
    from pathlib import Path

SPEC = InputSpec(
    name="images",
    hw=(4, 4),
    color=ColorOrder.RGB,
    scale=1.0,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    fit=Fit.STRETCH,
    pad=0,
    layout="nchw",
    dtype="float32",
    max_batch=2,
)
OPTIONS = BackendOptions(precision="f32", latency=True, threads=0, on_ready=lambda: None)
ONE = np.zeros((1, 4, 4, 3), np.uint8)


def backend_of(faults: Faults | None = None, limit_s: float = 5.0) -> FakeBackend:
    rows = np.arange(3, dtype=np.float32)[:, None]
    return FakeBackend(from_script((rows,)), input_spec=SPEC, on_ready=lambda: None, faults=faults, limit_s=limit_s)


def test_a_script_is_played_row_by_row_over_and_over() -> None:
    backend = backend_of()
    batches = [ONE, np.concatenate([ONE, ONE]), ONE]
    played = [backend.collect(backend.submit(b))[0].ravel().tolist() for b in batches]
    assert played == [[0.0], [1.0, 2.0], [0.0]]
    backend.close()


def test_it_hangs_until_it_is_let_go() -> None:
    faults = Faults()
    faults.go.clear()
    backend = backend_of(faults)
    tickets = [backend.submit(ONE), backend.submit(ONE)]
    assert not backend.ready(tickets[0])
    faults.go.set()
    assert [backend.collect(t)[0].item() for t in tickets] == [0.0, 1.0]
    backend.close()


def test_a_hang_without_end_is_given_up() -> None:
    faults = Faults()
    faults.go.clear()
    backend = backend_of(faults, limit_s=0.05)
    ticket = backend.submit(ONE)
    with pytest.raises(BackendError, match="no answer"):
        backend.collect(ticket)
    faults.go.set()
    backend.close()


def test_slowness_ends_with_close() -> None:
    backend = backend_of(Faults(slow_s=60.0))
    backend.submit(ONE)
    closing = threading.Thread(target=backend.close)
    closing.start()
    closing.join(timeout=5)
    assert not closing.is_alive()


def test_a_script_file(tmp_path: Path) -> None:
    path = tmp_path / "script.npz"
    np.savez(path, boxes=np.ones((2, 3, 4)), scores=np.zeros((2, 3)))
    backend = open_fake(str(path), SPEC, ("scores", "boxes"), OPTIONS)
    scores, boxes = backend.collect(backend.submit(ONE))
    assert (scores.shape, boxes.shape) == ((1, 3), (1, 3, 4))
    assert boxes.dtype == np.float32
    backend.close()


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"boxes": np.ones((2, 4))}, r"not a script with scores, boxes"),
        ({"boxes": np.ones((2, 4)), "scores": np.ones((3, 4))}, "same number of frames"),
        ({"boxes": np.ones((0, 4)), "scores": np.ones((0, 4))}, "at least one"),
    ],
)
def test_a_wrong_script_is_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]], said: str
) -> None:
    path = tmp_path / "script.npz"
    np.savez(path, allow_pickle=False, **arrays)
    with pytest.raises(BackendError, match=said):
        open_fake(str(path), SPEC, ("scores", "boxes"), OPTIONS)


def test_a_script_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "script.npz"
    with pytest.raises(BackendError, match=r"script\.npz: not a script"):
        open_fake(str(path), SPEC, ("boxes",), OPTIONS)
    path.write_bytes(b"not a zip")
    with pytest.raises(BackendError, match=r"script\.npz: not a script"):
        open_fake(str(path), SPEC, ("boxes",), OPTIONS)
