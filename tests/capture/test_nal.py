from __future__ import annotations

import random
from typing import TYPE_CHECKING

import av
import pytest
from servers.clip import split_annex_b, write_recording

from streamer.capture.nal import annex_b, avcc_sets, hvcc_sets, length_prefixed, prefix_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LEVEL = {"libx264": {"bf": "0"}, "libx265": {"x265-params": "log-level=none:bframes=0"}}


@pytest.mark.parametrize(
    ("encoder", "codec", "sets", "kinds"),
    [("libx264", "h264", avcc_sets, [7, 8]), ("libx265", "hevc", hvcc_sets, [32, 33, 34])],
)
def test_what_a_box_holds_is_what_the_bare_stream_begins_with(
    tmp_path: Path, encoder: str, codec: str, sets: Callable[[bytes], tuple[bytes, ...]], kinds: list[int]
) -> None:
    write_recording(tmp_path / "boxed.mp4", frames=3, codec=encoder, options=LEVEL[encoder])
    with av.open(str(tmp_path / "boxed.mp4")) as container:
        stream = container.streams.video[0]
        extradata = stream.codec_context.extradata or b""
        packets = [bytes(p) for p in container.demux(stream) if p.size]
    assert prefix_of(codec, extradata) == 4
    found = sets(extradata)
    shift, mask = (0, 31) if codec == "h264" else (1, 63)
    assert [nal[0] >> shift & mask for nal in found if nal[0] >> shift & mask != 39] == kinds
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    pictures = []
    for packet in packets:
        pictures += decoder.decode(av.Packet(annex_b(found) + annex_b(length_prefixed(packet, 4))))
    assert len(pictures + decoder.decode(None)) == 3


@pytest.mark.parametrize("start", [b"\x00\x00\x00\x01", b"\x00\x00\x01"])
def test_start_codes_or_nothing_mean_annex_b(start: bytes) -> None:
    assert prefix_of("h264", start + b"\x67\x42") == 0
    assert prefix_of("hevc", start + b"\x40\x01") == 0
    assert prefix_of("hevc", b"") == 0


@pytest.mark.parametrize("prefix", [1, 2, 4])
def test_every_length_of_a_prefix_is_read(prefix: int) -> None:
    nals = (b"\x65" * 3, b"\x41" * 200)
    data = b"".join(len(nal).to_bytes(prefix, "big") + nal for nal in nals)
    assert tuple(length_prefixed(data, prefix)) == nals
    assert tuple(split_annex_b(annex_b(nals))) == nals
    assert prefix_of("h264", bytes([1, 0, 0, 0, 0xFC | prefix - 1])) == prefix
    assert prefix_of("hevc", bytes(21) + bytes([0xFC | prefix - 1])) == prefix


def test_junk_and_what_breaks_off_ends_and_raises_nothing(seed: int) -> None:
    draw = random.Random(seed)
    for size in range(80):
        junk = draw.randbytes(size)
        for sets in (avcc_sets, hvcc_sets):
            assert sum(map(len, sets(junk))) <= size
        assert sum(map(len, length_prefixed(junk, 2))) <= size
        assert 0 <= prefix_of("hevc", junk) <= 4
