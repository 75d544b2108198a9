from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from home_assistant import HomeAssistant, check_device

from streamer.core.clock import FakeClock
from streamer.pipeline.announcer import Announcer, AnnouncerPlan
from streamer.publish.base import whole_topic
from streamer.publish.discovery import Discovery
from streamer.publish.entities import DeviceFacts
from streamer.publish.states import StateBoard
from streamer.store.announced import AnnouncedFile

if TYPE_CHECKING:
    from pathlib import Path

TOPIC = "/homeassistant/device/streamer_porch/config"
DAY_S = 86_400


class Run:
    """One run of Streamer, as far as Home Assistant sees it."""

    def __init__(self, folder: Path, *topics: str, clock: FakeClock | None = None, cameras: str = "porch") -> None:
        self.clock = clock or FakeClock()
        self.board = StateBoard()
        plan = AnnouncerPlan(
            board=self.board,
            file=AnnouncedFile(folder),
            by=Discovery(prefix="streamer", discovery_prefix="homeassistant", version="1"),
            cameras=[DeviceFacts(camera=name) for name in cameras.split()],
        )
        self.announcer = Announcer(plan, clock=self.clock)
        for topic in topics:
            self.announcer.set(topic, b"0")
        self._sent = 0
        self.announcer.begin()

    def config(self, topic: str = TOPIC) -> dict[str, Any]:
        (payload,) = [state.payload for state in self.board.since(0) if state.topic == topic]
        return check_device(topic.removeprefix("/"), payload)

    def publish(self, home: HomeAssistant) -> list[str]:
        """Send what has changed, as the publish thread does; return the topics."""
        states = self.board.since(self._sent)
        self._sent = self.board.version()
        for state in states:
            home.hear(whole_topic(state.topic, "streamer"), state.payload)
        return [state.topic for state in states]


def test_states_pass_on_and_bring_their_entities(tmp_path: Path) -> None:
    run = Run(tmp_path, "porch/active/person", "yard/active/person", "status")
    assert run.config()["components"].keys() == {"status", "enabled", "events", "rule_person"}
    assert [state.topic for state in run.board.since(0)] == [
        "porch/active/person",
        "yard/active/person",
        "status",
        TOPIC,
    ]


def test_what_comes_later_is_announced_five_seconds_after_the_first_of_it(tmp_path: Path) -> None:
    run = Run(tmp_path)
    before = run.config()
    run.announcer.set("porch/objects/dog", b"1")
    run.clock.advance(3.0)
    run.announcer.set("porch/active/dog", b"1")
    run.announcer.look()
    assert run.config() == before
    run.clock.advance(2.0)
    run.announcer.look()
    assert run.config()["components"].keys() - before["components"].keys() == {"objects_dog", "rule_dog"}
    version = run.board.version()
    run.announcer.set("porch/objects/dog", b"1")
    run.clock.advance(60.0)
    run.announcer.look()
    assert run.board.version() == version  # nothing more to say


def test_a_start_of_home_assistant_gets_the_announcements_again_and_nothing_else(tmp_path: Path) -> None:
    run, home = Run(tmp_path, "porch/active/person", cameras="porch yard"), HomeAssistant()
    assert len(run.publish(home)) == 3
    run.announcer.renew()
    assert run.publish(home) == [TOPIC, TOPIC.replace("porch", "yard")]
    assert home.announced == ["streamer_porch", "streamer_yard"] * 2


def test_a_rule_that_is_no_more_disappears_and_its_removal_is_repeated_for_a_week(tmp_path: Path) -> None:
    home, clock = HomeAssistant(), FakeClock()
    Run(tmp_path, "porch/active/cat", "porch/active/dog", clock=clock).publish(home)
    assert home.of("streamer_porch") == {"status", "enabled", "events", "rule_cat", "rule_dog"}
    # Home Assistant takes nothing away by itself.
    for _ in range(3):
        run = Run(tmp_path, "porch/active/dog", clock=clock)
        run.publish(home)
        assert home.of("streamer_porch") == {"status", "enabled", "events", "rule_dog"}
        assert run.config()["components"]["rule_cat"] == {"platform": "binary_sensor"}
        clock.advance(2.0 * DAY_S)
    clock.advance(1.0 * DAY_S)
    assert "rule_cat" not in Run(tmp_path, "porch/active/dog", clock=clock).config()["components"]


def test_a_rule_that_comes_back_is_there_again(tmp_path: Path) -> None:
    home = HomeAssistant()
    for topics in (("porch/active/cat",), (), ("porch/active/cat",)):
        Run(tmp_path, *topics).publish(home)
    assert "rule_cat" in home.of("streamer_porch")


def test_a_camera_that_is_no_more_is_taken_back_whole(tmp_path: Path) -> None:
    home = HomeAssistant()
    first = Run(tmp_path, cameras="porch yard")
    left = set(first.publish(home))
    run = Run(tmp_path, cameras="porch")
    run.board.expect([])
    run.board.retire(left)  # what the publish thread does at a new connection
    run.publish(home)
    assert home.of("streamer_yard") == set()
    assert home.of("streamer_porch") == {"status", "enabled", "events"}
    assert "streamer_yard" not in json.loads((tmp_path / "announced.json").read_text())["devices"]


def test_the_file_is_written_only_when_something_has_changed(tmp_path: Path) -> None:
    Run(tmp_path, "porch/active/cat")
    (tmp_path / "announced.json.new").mkdir()  # nothing can be written from here on
    run = Run(tmp_path, "porch/active/cat")
    run.announcer.set("porch/objects/dog", b"1")
    run.clock.advance(5.0)
    with pytest.MonkeyPatch.context() as patch:
        saved: list[object] = []
        patch.setattr(AnnouncedFile, "save", lambda _self, devices: saved.append(devices))
        run.announcer.look()
        run.announcer.look()
    assert len(saved) == 1
