from __future__ import annotations

import numpy as np
import pytest

from streamer.capture.scenes.boards_artwork import COPPER, Artwork, cut_corners


def _area(artwork: Artwork) -> int:
    return int(np.count_nonzero(artwork.finished().copper == COPPER))


def test_a_trace_is_as_wide_as_asked_and_leaves_its_runs() -> None:
    artwork = Artwork(200, 100)
    artwork.trace([(-20.0, 30.0), (100.0, 30.0), (140.0, 70.0)], 11)
    layout = artwork.finished()
    assert np.count_nonzero(layout.copper[:, 40]) == pytest.approx(11, abs=2)  # OpenCV fills each pixel it touches
    assert [(run.start, run.end, run.width) for run in layout.runs] == [
        ((-20.0, 30.0), (100.0, 30.0), 11),
        ((100.0, 30.0), (140.0, 70.0), 11),
    ]


@pytest.mark.parametrize(
    ("pad", "area"),
    [("square_pad", 48 * 32), ("oval_pad", 16 * 32 + np.pi * 16**2), ("eight_sided_pad", 48 * 32 - 251)],
)
def test_pads_have_their_size(pad: str, area: float) -> None:
    artwork = Artwork(100, 100)
    getattr(artwork, pad)((50.0, 50.0), (24.0, 16.0))
    assert _area(artwork) == pytest.approx(area, rel=0.07)


def test_a_hole_is_drilled_through_what_lies_there() -> None:
    artwork = Artwork(100, 100)
    artwork.round_pad((50.0, 50.0), 25)
    artwork.hole((50.0, 50.0), 10)
    assert _area(artwork) == pytest.approx(np.pi * (25**2 - 10**2), rel=0.04)


def test_corners_are_cut_clockwise_from_the_top_left() -> None:
    corners = cut_corners((50.0, 50.0), (40.0, 30.0), (1.0, 2.0, 3.0, 4.0))
    assert corners == ((11, 20), (88, 20), (90, 22), (90, 77), (87, 80), (14, 80), (10, 76), (10, 21))
