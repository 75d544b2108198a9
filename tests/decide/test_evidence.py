from __future__ import annotations

from factory_line import SHORT, found, info, said

from streamer.core.decision import Doubt
from streamer.decide.evidence import Evidence, FrameEvidence, ObjectEvidence


def shown(number: int, seq: int, connection: int = 0) -> FrameEvidence:
    return FrameEvidence(number=number, info=info(seq, 0, connection=connection))


def thing(number: int, track: int) -> ObjectEvidence:
    return ObjectEvidence(number=number, track=track, info=info(number, 0), box=(0, 0, 9, 9), detections=None)


def test_what_comes_to_be_known_of_a_frame_is_gathered() -> None:
    evidence = Evidence()
    evidence.expect(shown(1, 7))
    detections, look, side = found((SHORT, 0.9)), said(0.9, 0.1), said(0.2, 0.8)
    evidence.learn(info(7, 0), classes={"look": look})
    evidence.learn(info(7, 0), detections=detections)
    known = evidence.learn(info(7, 0), classes={"side": side})

    assert known is not None
    assert (known.number, known.detections, known.classes) == (1, detections, {"look": look, "side": side})


def test_frames_of_two_connections_are_not_confused() -> None:
    evidence = Evidence()
    evidence.expect(shown(1, 7))
    evidence.expect(shown(2, 7, connection=1))

    assert [evidence.number_of(info(7, 0, connection=n)) for n in range(3)] == [1, 2, None]
    assert evidence.learn(info(8, 0), detections=found()) is None


def test_items_wait_for_the_labels_of_their_object() -> None:
    evidence = Evidence()
    for number, track in ((1, 5), (2, 6), (3, 5)):
        evidence.expect(thing(number, track))

    assert [item.number for item in evidence.objects(5)] == [1, 3]
    assert [item.number for item in evidence.objects()] == [1, 2, 3]
    evidence.forget(3)
    assert [item.number for item in evidence.objects(5)] == [1]


def test_a_place_is_given_up_once_and_never_made_for_an_item_that_is_decided() -> None:
    evidence = Evidence()
    for number in (1, 2, 3):
        evidence.expect(shown(number, number))
    evidence.expect(thing(4, 5))
    evidence.forget(2)
    evidence.forget(2)
    evidence.handed_out([1, 2, 3])
    evidence.expect(shown(3, 9))

    assert len(evidence) == 1
    assert evidence.number_of(info(9, 0)) is None
    evidence.handed_out([4])
    assert len(evidence) == 0


def test_doubts_about_the_latest_frames_are_kept() -> None:
    evidence = Evidence()
    for seq in range(300):
        evidence.doubt(info(seq, 0), Doubt.DARK)

    assert [evidence.doubt_about(info(seq, 0)) for seq in (43, 44, 299, 300)] == [None, Doubt.DARK, Doubt.DARK, None]
