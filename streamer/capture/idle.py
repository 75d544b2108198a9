"""An idle camera: only its key frames are decoded, and what lies between them after the fact, should it matter."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_MS, NS_PER_S

from .usual import KeyFrames, PacketSizes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .decode import Outcome
    from .packets import Coded

_log = logging.getLogger(__name__)

_LONGEST_KEY_STEP_NS = 12 * NS_PER_S  # between key frames: whatever is not noticed before is noticed at the next one
_LONGEST_NOISY_STEP_NS = 2500 * NS_PER_MS  # the same where the packets' sizes tell nothing
_OFTEN_NS = 1 * NS_PER_S  # between key frames that are decoded in that case; MJPEG has nothing else
_LATE_NS = 100 * NS_PER_MS  # by so much a key frame may come after its time
_MOST_BYTES = 16 << 20  # of packets that are kept: a 4K camera sends 20 Mbit/s
_CALM_NS = 1 * NS_PER_S  # all is decoded for so long at least: whoever judges what moves needs some looks
_CATCH_UP_NS = 5 * NS_PER_S  # after a wake, packets that lay ready meanwhile count as late only when this is over
_IN_STEP = 16  # packets that gave their own picture at once, before the decoder is trusted to hold none back
_SAME_NS = 1 * NS_PER_MS  # time stamps of a packet and its picture, rounded twice


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Due:
    """A packet whose turn has come to be decoded."""

    coded: Coded
    captured_ns: int | None = None  # of its picture; None: as the clock says when there is one
    recalled: bool = False  # it was kept undecoded before, or waited for what was
    shown: bool = True  # False: its picture has been given, but others refer to it
    compared: bool = False  # a key frame: whether it differs from the one before is found out before it is given


class Idling:
    """Which packets of a stream are decoded, and when. Capture thread.

    While `idle` says that nothing moves, key frames are decoded, and the packets since the last one are kept. The
    camera wakes when `idle` no longer says so, by a packet far larger than usual, or by a key frame that differs from
    the last one far more than usual. Then what is kept is decoded before anything else, so that nothing of what began
    is missed. It falls asleep at a key frame, so what is kept always follows the last picture that was decoded.

    Not for streams whose decoder holds pictures back (B-frames), that have no time stamps, or whose key frames are too
    far apart, in time or bytes: these stay awake.
    """

    def __init__(
        self,
        idle: Callable[[], bool],
        *,
        camera: str,
        look_s: float,
        captured_ns: Callable[[Coded], int],
        left: Callable[[int], None],
    ) -> None:
        """Begin awake.

        Args:
            idle: asked with each packet; True: nothing moves, and all that was seen is certain.
            camera: for the log.
            look_s: a key frame is decoded at least so often, where there is one.
            captured_ns: gives the capture time of a packet's picture; asked in their order.
            left: told how many packets are left undecoded for good.
        """
        self._idle = idle
        self._camera = camera
        self._seldom_ns = round(look_s * NS_PER_S) + _LATE_NS
        self._captured_ns = captured_ns
        self._left = left
        self._sizes = PacketSizes()
        self._keys = KeyFrames()
        self._kept: list[Due] = []  # asleep: the last key frame, which is decoded, and what came since
        self._kept_bytes = 0
        self._key_ns: int | None = None  # pts of the last key frame
        self._restless_ns: int | None = None  # arrival of the last packet that was no sign of rest
        self._in_step = 0
        self._behind_until_ns: int | None = None  # packets lie ready because what was kept is decoded; arrival
        self._look_ns = _OFTEN_NS  # the most between key frames that are decoded
        self._never = False
        self._told: set[str] = set()

    def excuses(self, coded: Coded) -> bool:
        """Whether a packet that had lain ready is none that is late: nothing was decoded, or all that was kept."""
        behind = self._behind_until_ns is not None and coded.arrived_ns <= self._behind_until_ns
        return bool(self._kept) or behind

    def take(self, coded: Coded) -> Sequence[Due]:
        """Take in the next packet; return what is to be decoded now, in order."""
        quiet = self._idle()
        if self._behind_until_ns is not None and (coded.waited or coded.arrived_ns > self._behind_until_ns):
            self._behind_until_ns = None
        unusual = self._sizes.look(size=coded.packet.size, key=coded.key)
        key_step_ns = self._step(coded)
        if not self._kept:
            return (self._awake(coded, quiet=quiet, key_step_ns=key_step_ns),)
        if unusual or not quiet or not self._keepable(coded):
            return self._wake(coded)
        if not self._sizes.doubtful:
            self._sizes.learn()
        due = Due(coded=coded, captured_ns=self._captured_ns(coded), compared=coded.key)
        if coded.key and self._since_last_look_ns(coded) + (key_step_ns or 0) > self._look_ns:
            return (due,)  # the next one would be too late
        self._kept.append(due)
        self._kept_bytes += coded.packet.size
        return ()

    def decoded(self, due: Due, outcome: Outcome) -> Sequence[Due]:
        """Take in what a packet gave; return what is to be decoded before that is given, this packet last.

        Raises:
            BackendError: the picture is in the memory of a GPU that failed.
        """
        self._observe(due.coded, outcome)
        if not self._kept or not due.coded.key or not due.shown:
            return ()
        if not self._in_step:
            self._let_go()  # nothing between it and the key frame before can be decoded any more
            return ()
        picture = outcome.pictures[0].picture
        if due is self._kept[0]:
            self._keys.begin(picture)
            return ()
        if self._keys.look(picture):
            first, *others = self._kept
            self._kept.clear()
            self._rouse(due.coded, behind=True)
            return (replace(first, shown=False), *_recalled(others), replace(due, compared=False))
        self._keys.learn()
        self._let_go()
        self._rest(due)
        return ()

    def end(self) -> None:
        """The connection is over: what is kept stays undecoded."""
        self._let_go()

    def _awake(self, coded: Coded, *, quiet: bool, key_step_ns: int | None) -> Due:
        """Decode a packet; fall asleep with it if it is a key frame, and it is time to."""
        due = Due(coded=coded, recalled=self._behind_until_ns is not None)
        if not quiet or self._restless_ns is None:
            self._sizes.forget()
            self._keys.forget()
            self._restless_ns = coded.arrived_ns
        elif coded.key and coded.arrived_ns - self._restless_ns >= _CALM_NS:
            self._sizes.learn()
            self._keys.learn()
            if not due.recalled and self._may_sleep(key_step_ns):
                due = replace(due, captured_ns=self._captured_ns(coded))
                self._rest(due)
        return due

    def _rest(self, due: Due) -> None:
        """Keep what comes behind a key frame."""
        self._kept.append(due)
        self._look_ns = min(_OFTEN_NS, self._seldom_ns) if self._sizes.noisy() else self._seldom_ns

    def _may_sleep(self, key_step_ns: int | None) -> bool:
        """Whether what goes unnoticed now is noticed soon enough; key frames tell where packets don't."""
        if self._in_step < _IN_STEP or not self._sizes.known or self._never or key_step_ns is None:
            return False
        noisy = self._sizes.noisy()
        if key_step_ns <= (_LONGEST_NOISY_STEP_NS if noisy else _LONGEST_KEY_STEP_NS):
            return True
        self._tell(f"its key frames are {key_step_ns / NS_PER_S:.1f} s apart{', and it is full of noise' * noisy}")
        return False

    def _wake(self, coded: Coded) -> Sequence[Due]:
        """Return what was kept, and the packet."""
        others = self._kept[1:]
        self._kept.clear()
        self._rouse(coded, behind=bool(others))
        return (*_recalled(others), Due(coded=coded, captured_ns=self._captured_ns(coded)))

    def _rouse(self, coded: Coded, *, behind: bool) -> None:
        self._restless_ns = coded.arrived_ns
        self._kept_bytes = 0
        self._behind_until_ns = coded.arrived_ns + _CATCH_UP_NS if behind else None

    def _let_go(self) -> None:
        """Leave what is kept undecoded."""
        undecoded = len(self._kept) - 1
        self._kept.clear()
        self._kept_bytes = 0
        if undecoded > 0:
            self._left(undecoded)

    def _keepable(self, coded: Coded) -> bool:
        """Whether a packet may wait, or the next key frame is too far away for that."""
        if coded.pts_ns is None or self._since_last_look_ns(coded) > _LONGEST_KEY_STEP_NS:
            return False
        if self._kept_bytes + coded.packet.size > _MOST_BYTES:
            self._tell(f"more than {_MOST_BYTES >> 20} MiB lie between its key frames")
            self._never = True
        return not self._never

    def _since_last_look_ns(self, coded: Coded) -> int:
        """Return how much later than the last key frame that was decoded a packet is; far, where stamps jump."""
        before_ns, now_ns = self._kept[0].coded.pts_ns, coded.pts_ns
        if before_ns is None or now_ns is None or now_ns < before_ns:
            return _LONGEST_KEY_STEP_NS + 1
        return now_ns - before_ns

    def _step(self, coded: Coded) -> int | None:
        """Return how far a key frame is behind the one before, ns; None where that is not known."""
        if not coded.key:
            return None
        before_ns, self._key_ns = self._key_ns, coded.pts_ns
        if before_ns is None or coded.pts_ns is None or coded.pts_ns < before_ns:
            return None
        return coded.pts_ns - before_ns

    def _observe(self, coded: Coded, outcome: Outcome) -> None:
        """Note whether a packet gave its own picture, and that alone."""
        pts_ns = outcome.pictures[0].pts_ns if len(outcome.pictures) == 1 else None
        if pts_ns is not None and coded.pts_ns is not None and abs(pts_ns - coded.pts_ns) <= _SAME_NS:
            self._in_step += 1
            return
        self._in_step = 0
        if not outcome.corrupt:
            self._tell("it has no time stamps" if coded.pts_ns is None else "its decoder holds pictures back")

    def _tell(self, why: str) -> None:
        """Say once why all is decoded, whatever moves."""
        if why not in self._told:
            self._told.add(why)
            _log.debug("it does not idle now: %s", why, extra={"camera": self._camera})


def _recalled(dues: Sequence[Due]) -> Sequence[Due]:
    return [replace(due, recalled=True, compared=False) for due in dues]
