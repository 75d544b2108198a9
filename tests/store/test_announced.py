from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamer.store.announced import FILE_NAME, AnnouncedFile, Component, renewed

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86_400
DEVICES = {"streamer_porch": {"status": Component(platform="sensor"), "rule_x": Component(platform="event", gone_s=7)}}


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    file = AnnouncedFile(tmp_path)
    assert file.load() == {}
    file.save(DEVICES)
    assert AnnouncedFile(tmp_path).load() == DEVICES
    file.save({})
    assert AnnouncedFile(tmp_path).load() == {}
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"{}",
        b'{"devices":{"a":[]}}',
        b'{"devices":{"a":{"b":"c"}}}',
        b'{"devices":{"a":{"b":[1,null]}}}',
        b'{"devices":{"a":{"b":["sensor","x"]}}}',
        b'{"devices":{"a":{"b":["sensor",null,1]}}}',
    ],
)
def test_a_damaged_file_is_as_none_and_said(tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE_NAME).write_bytes(damage)
    file = AnnouncedFile(tmp_path)
    assert file.load() == {}
    assert "can't be used" in caplog.text
    file.save(DEVICES)
    assert file.load() == DEVICES


def test_a_disk_that_refuses_is_said_once_and_leaves_what_was_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = AnnouncedFile(tmp_path)
    file.save(DEVICES)
    (tmp_path / f"{FILE_NAME}.new").mkdir()  # so that nothing can be written there
    file.save({})
    file.save({})
    assert len([record for record in caplog.records if "can't be written" in record.message]) == 1
    assert file.load() == DEVICES


def test_what_is_no_more_is_remembered_for_a_week_from_when_it_went() -> None:
    first = renewed({}, {"a": "sensor", "b": "switch"}, 0)
    assert first == {"a": Component(platform="sensor"), "b": Component(platform="switch")}
    second = renewed(first, {"a": "sensor"}, DAY_S)
    assert second["b"] == Component(platform="switch", gone_s=DAY_S)
    assert renewed(second, {"a": "sensor"}, 8 * DAY_S - 1)["b"] == second["b"]
    assert renewed(second, {"a": "sensor"}, 8 * DAY_S) == {"a": Component(platform="sensor")}


def test_what_comes_back_is_gone_no_more() -> None:
    gone = {"b": Component(platform="switch", gone_s=1)}
    assert renewed(gone, {"b": "sensor"}, 2) == {"b": Component(platform="sensor")}


def test_a_clock_that_was_set_back_takes_nothing_away() -> None:
    gone = {"b": Component(platform="switch", gone_s=9 * DAY_S)}
    assert renewed(gone, {}, DAY_S) == gone
