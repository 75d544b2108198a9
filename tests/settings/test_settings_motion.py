from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamer.settings import SettingsError, load

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "models: {m: {model: ./m.onnx}}\ncameras:\n  c:\n    source: rtsp://h/x\n    detect: {model: m}\n    motion: "


def write(folder: Path, motion: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(HEAD + motion + "\n")
    return path


def test_the_gate_has_values_of_its_own(tmp_path: Path) -> None:
    motion = load(write(tmp_path, "{}"), {}).settings.cameras["c"].motion

    assert (motion.enabled, motion.sensitivity, motion.hold_s, motion.heartbeat_s) == (None, 0.5, 2.0, 10.0)
    assert motion.masks == ()
    assert motion.idle


def test_every_key_is_taken(tmp_path: Path) -> None:
    text = "{enabled: true, sensitivity: 0.8, hold: 0s, heartbeat: 1m, masks: [[[0, 0], [1, 0], [1, 0.2]]]}"
    motion = load(write(tmp_path, text), {}).settings.cameras["c"].motion

    assert (motion.enabled, motion.sensitivity, motion.hold_s, motion.heartbeat_s) == (True, 0.8, 0.0, 60.0)
    assert motion.masks == (((0.0, 0.0), (1.0, 0.0), (1.0, 0.2)),)


@pytest.mark.parametrize(
    ("text", "key", "allowed"),
    [
        ("{enabled: on}", "enabled", "true or false"),
        ("{sensitivity: 2}", "sensitivity", "0 to 1"),
        ("{hold: 3}", "hold", "duration with its unit"),
        ("{heartbeat: 0s}", "heartbeat", "longer than nothing"),
        ("{masks: [[[0, 0], [1, 1]]]}", "masks.0", "at least 3 points"),
        ("{masks: [[[0, 0], [1, 0], [1, 20]]]}", "masks.0", "0 to 1"),
        ("{zoom: true}", "zoom", "unknown"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(tmp_path: Path, text: str, key: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(write(tmp_path, text), {})

    assert f"cameras.c.motion.{key}" in str(caught.value)
    assert allowed in str(caught.value)
