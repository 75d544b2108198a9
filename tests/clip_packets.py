"""Compressed pictures for tapes, and what is in the clips that are made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import pytest
from host_picture import on_host
from servers import barcode

from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.container import open_container
from streamer.capture.packets import Coded
from streamer.capture.pictures import picture_of
from streamer.capture.remux import FastStart, Finished, open_part
from streamer.capture.tape import CodecFacts, Tape
from streamer.core.errors import EndOfStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from servers.clip import Clip

    from streamer.capture.tape import Reading

S = 1_000_000_000
LATE = 1 << 62  # ns
H264 = CodecFacts(codec="h264", extradata=b"")


def coded_of(clip: Clip, *, began_ns: int = 0, stamps_from_ns: int = 7 * S) -> Iterator[Coded]:
    """Yield a clip's pictures as a camera sends them; the first is captured at `began_ns`."""
    for unit in clip.units:
        at_ns = unit.pts * S // 90_000
        packet = av.Packet(b"".join(b"\x00\x00\x00\x01" + nal for nal in unit.nals))
        packet.is_keyframe = unit.key
        due_ns = began_ns + unit.due * S // 90_000
        yield Coded(packet=packet, pts_ns=at_ns + stamps_from_ns, key=unit.key, arrived_ns=due_ns, waited=True)


class MadeReader:
    """A `PacketReader` over made packets; they may be faults too."""

    def __init__(self, items: Iterable[Coded | Exception], codec: str = "h264") -> None:
        context = av.CodecContext.create(codec, "r")
        assert isinstance(context, av.VideoCodecContext)
        self.codec = context
        self.closed = False
        self._items = iter(items)

    def next(self) -> Coded:
        for item in self._items:
            if isinstance(item, Exception):
                raise item
            return item
        raise EndOfStream

    def close(self) -> None:
        self.closed = True


def filled(clip: Clip, *, seconds: float = 60.0, began_ns: int = 0, facts: CodecFacts | None = None) -> Tape:
    """Return a tape with a whole clip, whose capture times are its pts from `began_ns`."""
    tape = Tape(seconds=seconds)
    tape.begin(CodecFacts(codec=clip.codec, extradata=b"") if facts is None else facts)
    put_all(tape, coded_of(clip), began_ns=began_ns)
    return tape


def put_all(tape: Tape, coded: Iterable[Coded], *, began_ns: int = 0, stamps_from_ns: int = 7 * S) -> None:
    for item in coded:
        tape.put(item, (item.pts_ns or 0) - stamps_from_ns + began_ns)


def numbers_in(path: Path) -> list[int | None]:
    """Return the bar codes of a file's pictures, in order of showing."""
    with av.open(str(path)) as container:
        return [barcode.read(on_host(picture_of(f)).planes[0]) for f in container.decode(video=0)]


def boxes_in(path: Path) -> list[str]:
    """Return the names of a file's outermost boxes, in order."""
    data, names, at = path.read_bytes(), [], 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        names.append(data[at + 4 : at + 8].decode("ascii"))
        at += size
        assert size >= 8
    return names


def reading_of_file(path: Path) -> Reading:
    """Return what a tape holds of a whole file."""
    spec = SourceSpec(camera="c", url=str(path), delivery=Delivery.EVERY)
    packets = open_container(spec, stopping=lambda: False)
    tape = Tape(seconds=600)
    tape.begin(CodecFacts(codec=packets.codec.codec.canonical_name, extradata=packets.codec.extradata or b""))
    with pytest.raises(EndOfStream):
        for n in range(10_000):
            tape.put(packets.next(), n * S // 25)
    packets.close()
    return tape.reader(0).read(LATE)


def write_part(path: Path, reading: Reading) -> None:
    assert reading.facts is not None
    part = open_part(path, reading.facts, reading.pictures[0], depth=reading.depth)
    try:
        for taped in reading.pictures:
            part.write(taped)
    finally:
        part.close()


def finish(part: Path, clip: Path, budget_bytes: int = 1 << 30) -> Finished:
    copy = FastStart(part, clip)
    for _ in range(1000):
        done = copy.advance(budget_bytes)
        if done is not None:
            return done
    pytest.fail("never done")
