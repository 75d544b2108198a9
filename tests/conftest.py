"""Fixtures for every test: the shared data if it is there, and a watch over threads."""

from __future__ import annotations

import gc
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from draws import ANEW, SEED
from fake_gpiod import gpio_board  # noqa: F401  a fixture for all
from hypothesis import settings
from nvidia import fake_gpu  # noqa: F401  a fixture for all
from servers.broker import Mosquitto, Subscriber, mosquitto_program

if TYPE_CHECKING:
    from collections.abc import Iterator

# No deadline: a busy machine is no fault. `STREAMER_SEED=anew` looks where no run has looked before.
settings.register_profile("steady", deadline=None, derandomize=not ANEW, database=None, print_blob=True)
settings.load_profile("steady")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_configure() -> None:
    """Let Ctrl-C reach what tests start, also where a shell runs them behind `&`: it has them ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Let the collector pass by what lasts as long as the run: modules and collected tests, a million objects.

    Many tests collect, to find what they leave behind; going through all of these each time took longer than the tests.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def shared_data() -> Path:
    """The real clips, models and pictures, which are no part of the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs ../shared/data (real clips, models and pictures)")
    return SHARED_DATA


def _joined(thread: threading.Thread, *, until: float) -> None:
    """Join a thread, also one that is listed already while it is just being started."""
    while time.monotonic() < until:
        try:
            thread.join(max(0.0, until - time.monotonic()))
        except RuntimeError:  # noqa: PERF203  not started yet
            threading.Event().wait(0.01)
        else:
            return


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    """Fail a test that leaves a thread of ours behind."""
    before = set(threading.enumerate())
    yield
    left = [t for t in threading.enumerate() if t not in before and not t.daemon]
    left += [t for t in threading.enumerate() if t not in before and t.daemon and t.name.startswith("streamer")]
    for thread in left:
        _joined(thread, until=time.monotonic() + 2.0)
    alive = [t.name for t in left if t.is_alive()]
    assert not alive, f"threads left behind: {alive}"


@pytest.fixture
def seed() -> int:
    """What a drawn scene begins with; shown when the test fails."""
    print("STREAMER_SEED", SEED)  # noqa: T201
    return SEED


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A mosquitto of the test's own."""
    if mosquitto_program() is None:
        pytest.skip("needs mosquitto")
    mosquitto = Mosquitto(tmp_path / "broker").start()
    yield mosquitto
    mosquitto.stop()


@pytest.fixture
def heard(broker: Mosquitto) -> Iterator[Subscriber]:
    """Everything that reaches that broker."""
    subscriber = Subscriber(broker.port).start()
    yield subscriber
    subscriber.stop()
