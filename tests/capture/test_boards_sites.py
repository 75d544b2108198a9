from __future__ import annotations

import numpy as np
import pytest

from streamer.capture.scenes.boards_artwork import Artwork
from streamer.capture.scenes.boards_sites import Sites

TRIES = 300


@pytest.fixture
def sites() -> Sites:
    """Two traces of 20 px across the board, 30 px of bare substrate between them."""
    artwork = Artwork(200, 160)
    artwork.trace([(-40.0, 50.0), (240.0, 50.0)], 20)
    artwork.trace([(-40.0, 100.0), (240.0, 100.0)], 20)
    return Sites(artwork.finished())


def test_an_edge_knows_the_copper_behind_it_and_the_room_before_it(sites: Sites, seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges = [edge for _ in range(TRIES) if (edge := sites.edge(rng)) is not None]
    assert len(edges) > 50
    for edge in edges:
        assert abs(edge.normal[1]) == pytest.approx(1, abs=0.01)
        assert edge.depth == pytest.approx(20, abs=3)
        between = (edge.normal[1] > 0) == (edge.point[1] < 75)
        assert edge.free == pytest.approx(30, abs=3) if between else edge.free > 60


def test_a_trace_is_cut_across_and_away_from_its_ends(sites: Sites, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cuts = [cut for _ in range(TRIES) if (cut := sites.trace(rng)) is not None]
    assert len(cuts) > 50
    for cut in cuts:
        assert cut.point[1] in (50.0, 100.0)
        assert np.abs(cut.normal).tolist() == [0.0, 1.0]
        assert cut.depth == 20


def test_conductors_under_a_stroke_are_told_apart(sites: Sites) -> None:
    def under(*points: tuple[float, float], thickness: int = 3) -> int:
        return len(sites.conductors(np.array(points, np.float64), thickness))

    assert under((100, 50), (100, 100)) == 2
    assert under((20, 50), (180, 50)) == 1
    assert under((20, 75), (180, 75)) == 0
    assert under((20, 75), (180, 75), thickness=40) == 2


def test_broad_copper_and_wide_bare_places_are_as_free_as_asked(sites: Sites, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(50):
        point, free = sites.copper(rng, least=8) or pytest.fail("there is room in a trace of 20 px")
        assert 8 <= free <= 11
        assert min(abs(point[1] - 50), abs(point[1] - 100)) <= 3
    assert sites.copper(rng, least=12) is None
    assert sites.bare(rng, least=12) is not None


def test_a_bare_board_has_no_place_for_what_needs_copper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sites = Sites(Artwork(64, 64).finished())
    assert sites.edge(rng) is None
    assert sites.trace(rng) is None
    assert sites.copper(rng, least=1) is None
