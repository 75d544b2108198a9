from __future__ import annotations

import pytest

from streamer.capture.synthetic_options import SCENES, Pace, SyntheticOptions, parse_synthetic
from streamer.core.errors import ConfigError


def test_defaults() -> None:
    assert parse_synthetic("synthetic:shapes") == SyntheticOptions(
        scene="shapes", seed=0, width=640, height=360, fps=15.0, seconds=None, pace=Pace.LIVE
    )


def test_every_option() -> None:
    options = parse_synthetic("synthetic:shapes?seed=3&size=1280x720&fps=25&seconds=20&pace=fast")
    assert options == SyntheticOptions(
        scene="shapes", seed=3, width=1280, height=720, fps=25.0, seconds=20.0, pace=Pace.FAST
    )
    assert options.frames == 500


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("synthetic:", "shapes"),
        ("synthetic:cars", "shapes"),
        ("synthetic:shapes?speed=3", "seed, size, fps, seconds, pace"),
        ("synthetic:shapes?seed=1&seed=2", "seed is given twice"),
        ("synthetic:shapes?seed=-1", "0 to 999999999"),
        ("synthetic:shapes?seed=", "0 to 999999999"),
        ("synthetic:shapes?size=641x360", "even"),
        ("synthetic:shapes?size=0x0", "from 32 to 8192"),
        ("synthetic:shapes?size=big", "WIDTHxHEIGHT"),
        ("synthetic:shapes?fps=0", "1 to 240"),
        ("synthetic:shapes?fps=0.5", "1 to 240"),
        ("synthetic:shapes?fps=nan", "1 to 240"),
        ("synthetic:shapes?fps=ten", "1 to 240"),
        ("synthetic:shapes?seconds=-3", "0.1 to"),
        ("synthetic:shapes?seconds=inf", "0.1 to"),
        ("synthetic:shapes?pace=slow", "live | fast"),
        ("synthetic:shapes?wind=1", "seed, size, fps, seconds, pace"),
        ("synthetic:doorway?storm=1", "wind, rain, visitors"),
        ("synthetic:doorway?wind=1.5", "from 0 to 1"),
        ("synthetic:doorway?rate=1", "wind, rain, visitors"),
        ("synthetic:boards?wind=1", "rate, defective"),
        ("synthetic:boards?rate=0.4", "from 0.5 to 60"),
        ("synthetic:boards?fps=0.4", "from 0.5 to 240"),
        ("synthetic:boards?defective=-1", "from 0 to 1"),
    ],
)
def test_a_wrong_address_says_what_is_allowed(url: str, named: str) -> None:
    with pytest.raises(ConfigError, match="synthetic") as caught:
        parse_synthetic(url)
    assert named in str(caught.value)


def test_a_doorway_has_weather_and_visitors() -> None:
    options = parse_synthetic("synthetic:doorway?seed=7&wind=0.9&rain=0.5&visitors=0")
    assert (options.scene, options.seed, options.wind, options.rain, options.visitors) == ("doorway", 7, 0.9, 0.5, 0.0)


def test_a_conveyor_gives_one_square_picture_of_each_board() -> None:
    options = parse_synthetic("synthetic:boards")
    assert (options.width, options.height, options.fps, options.rate, options.defective) == (640, 640, 2.0, 2.0, 0.5)
    assert parse_synthetic("synthetic:boards?rate=7").fps == 7.0
    both = parse_synthetic("synthetic:boards?fps=30&rate=0.5&defective=0.1&size=640x480")
    assert (both.fps, both.rate, both.defective, both.height) == (30.0, 0.5, 0.1, 480)


def test_each_scene_knows_its_name() -> None:
    assert all(options.scene == scene for scene, options in SCENES.items())
