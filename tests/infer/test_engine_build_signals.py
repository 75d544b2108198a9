"""What the process that builds makes of a signal that was meant for the whole service."""

from __future__ import annotations

import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
from engine_building import Building, building

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["building"]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were started to build."""
    processes: list[subprocess.Popen[bytes]] = []
    popen: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen

    def start(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401  as Popen takes them
        processes.append(popen(*args, **kwargs))
        return processes[-1]

    monkeypatch.setattr("streamer.infer.engine.child.subprocess.Popen", start)
    return processes


def test_only_who_started_it_ends_it(building: Building, started: list[subprocess.Popen[bytes]]) -> None:
    """`systemctl stop` sends SIGTERM to all of a service at once: a run that is about to stop is to hear no failure."""
    from tensorrt._steps import BuildSteps  # noqa: PLC0415  there only while the fixture is

    with BuildSteps() as steps:
        building.faults(steps_port=steps.port)

        def lead() -> None:
            steps.wait()
            started[-1].send_signal(signal.SIGTERM)
            steps.release()

        leading = threading.Thread(target=lead)
        leading.start()
        assert building.build().plan_path.is_file()
        leading.join(5)
