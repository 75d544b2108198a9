from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import rtp as sender
from servers.clip import Clip, bar_coded_clip

from streamer.capture.rtp import AccessUnit, Assembler, Malformed, RtpPacket, Sequence, parse_rtp

if TYPE_CHECKING:
    from collections.abc import Iterable

MS = 1_000_000


@pytest.fixture(scope="module", params=["h264", "hevc"])
def clip(request: pytest.FixtureRequest) -> Clip:
    return bar_coded_clip(width=640, height=480, seconds=1.0, gop=10, codec=request.param)


def packets_of(clip: Clip, *, stamp: int = 0xFFFF0000) -> list[bytes]:
    made: list[bytes] = []
    for unit in clip.units:
        timestamp = (stamp + unit.pts) & 0xFFFFFFFF
        made += sender.packets(unit, timestamp=timestamp, sequence=65_000 + len(made), ssrc=1)
    return made


def assembled(codec: str, packets: Iterable[bytes]) -> list[AccessUnit]:
    sequence, assembler = Sequence(patience_ns=5 * MS), Assembler(codec)
    units: list[AccessUnit] = []
    for i, data in enumerate(packets):
        for packet, lost in sequence.push(parse_rtp(data), i * MS):
            units += assembler.push(packet, lost=lost)
    return units


def annex_b(nals: Iterable[bytes]) -> bytes:
    return b"".join(b"\0\0\0\1" + nal for nal in nals)


def test_pictures_come_back_whole_the_moment_their_last_packet_is_there(clip: Clip) -> None:
    units = assembled(clip.codec, packets_of(clip))
    assert len(units) == len(clip.units)  # the last one, too, waits for no other
    for unit, sent in zip(units, clip.units, strict=True):
        assert unit.data == annex_b(sent.nals)
        assert (unit.key, unit.ticks) == (sent.key, sent.pts)  # across the wrap of stamps and numbers
        assert not unit.lost
        assert not unit.damaged


def test_without_markers_a_picture_ends_where_the_next_begins(clip: Clip) -> None:
    plain = [p[:1] + bytes([p[1] & 127]) + p[2:] for p in packets_of(clip)]
    units = assembled(clip.codec, plain)
    assert [u.data for u in units] == [annex_b(u.nals) for u in clip.units[:-1]]


def test_a_marker_on_the_parameter_sets_ends_no_picture(clip: Clip) -> None:
    packets = packets_of(clip)
    marked = [packets[0][:1] + bytes([packets[0][1] | 128]) + packets[0][2:], *packets[1:]]
    assert [u.data for u in assembled(clip.codec, marked)] == [annex_b(u.nals) for u in clip.units]


def test_a_camera_that_marks_each_slice_is_found_out() -> None:
    slices = [b"\x41\x9a" + bytes([n]) * 9 for n in range(3)]  # begins with the first block
    later = [b"\x41\x1a" + bytes([n]) * 9 for n in range(3)]  # does not
    assembler = Assembler("h264")
    units: list[AccessUnit] = []
    for n, (first, second) in enumerate(zip(slices, later, strict=True)):
        for payload in (first, second):
            packet = RtpPacket(payload_type=96, marker=True, sequence=0, timestamp=n * 3600, payload=payload)
            units += assembler.push(packet, lost=False)
    assert annex_b([slices[1], later[1]]) in [u.data for u in units]


def test_a_lost_packet_costs_its_picture_and_is_told(clip: Clip) -> None:
    packets = packets_of(clip)
    first = next(i for i, p in enumerate(packets) if p[1] & 128)  # the first picture's last packet
    units = assembled(clip.codec, packets[:first] + packets[first + 1 :])
    assert units[0].data == annex_b(clip.units[1].nals)
    assert units[0].lost
    assert [u.lost for u in units].count(True) == 1
    assert {u.data for u in units} <= {annex_b(u.nals) for u in clip.units}  # nothing with a hole


@settings(max_examples=30)
@given(seed=st.integers(0, 1 << 30), ratio=st.floats(0.01, 0.5))
def test_whatever_is_lost_only_whole_pictures_come_out(seed: int, ratio: float) -> None:
    clip, chance = CLIP, random.Random(seed)
    first, *rest = packets_of(clip)  # what was lost before the first packet that comes, nobody can know
    units = assembled("h264", [first, *(p for p in rest if chance.random() >= ratio)])
    assert {u.data for u in units} <= {annex_b(u.nals) for u in clip.units}


@settings(max_examples=200)
@given(payloads=st.lists(st.tuples(st.binary(min_size=1, max_size=30), st.booleans(), st.integers(0, 3))))
def test_garbage_is_survived(payloads: list[tuple[bytes, bool, int]]) -> None:
    for codec in ("h264", "hevc"):
        assembler = Assembler(codec)
        units: list[AccessUnit] = []
        for payload, marker, timestamp in payloads:
            packet = RtpPacket(payload_type=96, marker=marker, sequence=0, timestamp=timestamp, payload=payload)
            units += assembler.push(packet, lost=False)
        assert all(unit.data or unit.damaged or unit.lost for unit in units)


@settings(max_examples=300)
@given(data=st.binary(max_size=40))
def test_what_is_no_rtp_is_malformed_and_nothing_else(data: bytes) -> None:
    try:
        packet = parse_rtp(data)
    except Malformed:
        return
    assert packet.payload


def test_garbage_inside_a_picture_is_damage() -> None:
    packet = RtpPacket(payload_type=96, marker=True, sequence=0, timestamp=0, payload=b"\x1f\0\0")
    (unit,) = Assembler("h264").push(packet, lost=False)
    assert unit.damaged
    assert unit.data == b""


def test_aggregates_are_taken_apart() -> None:
    body = b"".join(len(n).to_bytes(2, "big") + n for n in (b"\x67abc", b"\x68de", b"\x65\x88fgh"))
    packet = RtpPacket(payload_type=96, marker=True, sequence=0, timestamp=0, payload=b"\x78" + body)
    (unit,) = Assembler("h264").push(packet, lost=False)
    assert unit.data == annex_b([b"\x67abc", b"\x68de", b"\x65\x88fgh"])
    assert unit.key


def test_swapped_packets_are_put_in_order_and_doubles_left() -> None:
    made = packets_of(CLIP)
    swapped = [*made[:3], made[4], made[3], made[3], *made[5:]]
    assert [u.data for u in assembled("h264", swapped)] == [annex_b(u.nals) for u in CLIP.units]


def test_a_hole_is_waited_for_50_ms_only() -> None:
    sequence = Sequence(patience_ns=50 * MS)
    packets = [
        RtpPacket(payload_type=96, marker=False, sequence=n & 0xFFFF, timestamp=0, payload=b"x")
        for n in range(65534, 65540)
    ]
    assert list(sequence.push(packets[0], 0)) == [(packets[0], False)]
    assert list(sequence.push(packets[2], 10 * MS)) == []
    assert list(sequence.push(packets[3], 40 * MS)) == []
    assert list(sequence.push(packets[4], 61 * MS)) == [(packets[2], True), (packets[3], False), (packets[4], False)]
    assert list(sequence.push(packets[1], 62 * MS)) == []  # too late


def test_numbers_that_begin_anew_go_on() -> None:
    sequence = Sequence(patience_ns=50 * MS)
    for number, expected in ((10_000, False), (5_000, True), (5_001, False)):
        packet = RtpPacket(payload_type=96, marker=False, sequence=number, timestamp=0, payload=b"x")
        assert list(sequence.push(packet, 0)) == [(packet, expected)]


CLIP = bar_coded_clip(width=640, height=480, seconds=1.0, gop=10)
