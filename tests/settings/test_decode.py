"""`cameras.<name>.decode`."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.settings import SettingsError, parse

TEXT = """
models: {{coco: {{model: yolox-nano}}}}
cameras:
  porch:
    source: rtsp://192.0.2.20/stream2
    detect: {{model: coco}}
    {key}
"""


def decode_of(key: str) -> str:
    loaded = parse(TEXT.format(key=key).encode(), file=Path("/etc/streamer/home.yaml"), environ={})
    return loaded.settings.cameras["porch"].decode


@pytest.mark.parametrize(
    ("key", "decode"), [("", "auto"), ("decode: auto", "auto"), ("decode: cpu", "cpu"), ("decode: gpu", "gpu")]
)
def test_where_a_camera_is_decoded_can_be_said(key: str, decode: str) -> None:
    assert decode_of(key) == decode


@pytest.mark.parametrize("value", ["nvdec", "0", "on", "[cpu]"])
def test_anything_else_is_told_with_what_is_allowed(value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        decode_of(f"decode: {value}")
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (7, "cameras.porch.decode")
    assert all(word in problem.message for word in ("auto", "cpu", "gpu"))
