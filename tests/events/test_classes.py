from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from event_scenes import classified, utc
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import streamer.events
from streamer.core.results import Classification, ClassScore
from streamer.events.classes import ClassSpec, ClassState, ClassStates, encode_class, present

LABELS = ("open", "closed", "blocked")
DOOR = ClassSpec(name="door", labels=LABELS)
# A person's protection: each for itself.
TAGS = ClassSpec(name="tags", labels=("helmet", "vest", "gloves"), thresholds=(0.5, 0.7, 0.2))


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    text = (Path(streamer.events.__path__[0]) / "class.schema.json").read_text()
    Draft202012Validator.check_schema(json.loads(text))
    return Draft202012Validator(json.loads(text))


def told(spec: ClassSpec, answers: str, *, every_s: float = 1.0) -> list[tuple[str | None, int, float]]:
    """Give an answer a letter, A to C, `-` for one that names no class; return class, since and moment of each state.

    Both moments in seconds.
    """
    states, happened = ClassStates([spec]), []
    for n, letter in enumerate(answers):
        scores = {} if letter == "-" else {"ABC".index(letter): 0.9}
        new = states.observe(classified(n * every_s, scores, name=spec.name)).values()
        happened += [(state.class_name, (state.since_utc_ns - utc(0)) // 10**9, n * every_s) for state in new]
    return happened


class TestAgreement:
    def test_one_answer_is_a_state_where_one_agrees(self) -> None:
        assert told(DOOR, "AABBA") == [("open", 0, 0), ("closed", 2, 2), ("open", 4, 4)]

    def test_so_many_in_a_row(self) -> None:
        spec = ClassSpec(name="door", labels=LABELS, agree=3)
        assert told(spec, "AABAABAA") == []
        assert told(spec, "AAABBABBB") == [("open", 0, 2), ("closed", 6, 8)]

    def test_so_many_of_the_last(self) -> None:
        spec = ClassSpec(name="door", labels=LABELS, agree=3, last=5)
        assert told(spec, "ABABA") == [("open", 0, 4)]
        assert told(spec, "AAABBABB") == [("open", 0, 2), ("closed", 3, 6)]
        assert told(spec, "ABBBAAA") == [("closed", 1, 3), ("open", 4, 6)]  # the first A was before too many others
        assert told(spec, "AACBCBA") == []

    def test_a_state_begins_after_what_broke_the_last_run(self) -> None:
        """The first two B are of no run with the others: there were two A between."""
        spec = ClassSpec(name="door", labels=LABELS, agree=3, last=4)
        assert told(spec, "BABAABBAB") == [("open", 1, 4), ("closed", 5, 8)]

    def test_the_newest_answer_must_be_among_them(self) -> None:
        spec = ClassSpec(name="door", labels=LABELS, agree=2, last=5, for_s=3.0)
        assert told(spec, "AABBB") == []  # A has held by then, but is no longer said
        assert told(spec, "AABBBA") == [("open", 0, 5)]

    def test_it_must_have_held(self) -> None:
        spec = ClassSpec(name="door", labels=LABELS, agree=2, for_s=3.0)
        assert told(spec, "AAAAA") == [("open", 0, 3)]
        assert told(spec, "AAABAAAA") == [("open", 4, 7)]
        assert told(spec, "AAAABBBAB") == [("open", 0, 3)]

    def test_what_held_is_told_once(self) -> None:
        spec = ClassSpec(name="door", labels=LABELS, agree=2)
        assert told(spec, "AAAABAABAAAA") == [("open", 0, 1)]

    def test_three_wrong_answers_of_ten_hardly_ever_make_a_state(self, seed: int) -> None:
        spec, rng, right, wrong = (
            ClassSpec(name="door", labels=LABELS, agree=9, last=12),
            np.random.default_rng(seed),
            0,
            0,
        )
        for _ in range(100):
            answers = "".join("B" if differs else "A" for differs in rng.random(60) < 0.3)
            names = [name for name, _, _ in told(spec, answers)]
            right, wrong = right + ("open" in names), wrong + ("closed" in names)
        assert right >= 95
        assert wrong <= 12  # of 100 minutes, in each of which 18 answers are wrong


class TestNoClass:
    def test_an_answer_below_the_least_score_names_none(self) -> None:
        states = ClassStates([ClassSpec(name="door", labels=LABELS, least=0.625)])
        (state,) = states.observe(classified(0, {1: 0.59, 0: 0.41}, name="door")).values()
        assert (state.class_name, state.class_id, state.score) == (None, None, None)
        (state,) = states.observe(classified(1, {1: 0.625, 0: 0.375}, name="door")).values()
        assert (state.class_name, state.class_id, state.score) == ("closed", 1, 0.625)

    def test_it_is_a_state_as_any_other(self) -> None:
        spec = ClassSpec(name="door", labels=LABELS, agree=2, least=0.5)
        assert told(spec, "AA-A--") == [("open", 0, 1), (None, 4, 5)]

    def test_an_answer_without_numbers_names_none(self) -> None:
        empty = Classification(class_ids=np.zeros(0, np.int32), scores=np.zeros(0, np.float32))
        assert present(empty, 0.0, ()) == present(empty, 0.0, (0.5, 0.5)) == ()


class TestMultiLabel:
    def test_every_class_at_its_own_threshold(self) -> None:
        output = classified(0, {0: 0.5, 1: 0.69, 2: 0.9375}).output
        assert present(output, 0.0, TAGS.thresholds) == (ClassScore(2, 0.9375), ClassScore(0, 0.5))
        assert present(output, 0.6, TAGS.thresholds) == (ClassScore(2, 0.9375),)
        assert present(output, 0.0, ()) == (ClassScore(2, 0.9375),)

    def test_a_state_is_all_that_is_there(self) -> None:
        states = ClassStates([TAGS])
        seen = [{0: 0.875, 1: 0.8125}, {0: 0.7, 1: 0.9375}, {1: 0.9375}, {}]
        happened = [states.observe(classified(n, scores, name="tags")) for n, scores in enumerate(seen)]
        first, same, vest, nothing = (one.get("tags") for one in happened)
        assert first is not None
        assert first.class_name == "helmet"
        assert first.present == (("helmet", 0.875), ("vest", 0.8125))
        assert same is None  # which of the two is surer is no change
        assert vest is not None
        assert (vest.class_name, vest.present) == ("vest", (("vest", 0.9375),))
        assert nothing == ClassState(class_name=None, class_id=None, score=None, since_utc_ns=utc(3), present=())

    def test_one_of_many_has_no_list(self) -> None:
        (state,) = ClassStates([DOOR]).observe(classified(0, {0: 0.9}, name="door")).values()
        assert state.present is None


class TestStates:
    def test_each_classification_has_its_own(self) -> None:
        states = ClassStates([DOOR, ClassSpec(name="weather", labels=LABELS, agree=2)])
        assert states.names() == ("door", "weather")
        assert list(states.observe(classified(0, {0: 0.9}, name="door"))) == ["door"]
        assert list(states.observe(classified(0, {0: 0.9}, name="weather"))) == []
        assert list(states.observe(classified(1, {0: 0.9}, name="weather"))) == ["weather"]
        assert states.observe(classified(1, {0: 0.9}, name="another")) == {}

    def test_a_camera_that_is_lost_shows_nothing(self) -> None:
        states = ClassStates([DOOR, ClassSpec(name="weather", labels=LABELS, agree=2)])
        states.observe(classified(0, {0: 0.9}, name="door"))
        states.observe(classified(0, {0: 0.9}, name="weather"))
        assert states.offline() == {"door": None}
        assert states.offline() == {}
        assert list(states.observe(classified(5, {0: 0.9}, name="door"))) == ["door"]  # the same again is new
        assert list(states.observe(classified(5, {0: 0.9}, name="weather"))) == []  # the vote before is forgotten

    def test_an_answer_that_comes_after_a_later_one_says_nothing(self) -> None:
        states = ClassStates([DOOR])
        states.observe(classified(5, {0: 0.9}, name="door"))
        assert states.observe(classified(4, {1: 0.9}, name="door")) == {}
        assert list(states.observe(classified(5, {1: 0.9}, name="door"))) == ["door"]

    @given(
        answers=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=60),
        agree=st.integers(1, 4),
        more=st.integers(0, 4),
        for_s=st.sampled_from([0.0, 2.0, 5.0]),
    )
    def test_no_state_without_the_answers_for_it(
        self, answers: list[tuple[int, int]], agree: int, more: int, for_s: float
    ) -> None:
        spec = ClassSpec(name="door", labels=LABELS, agree=agree, last=agree + more, for_s=for_s, least=0.5)
        states, counted, last_id, newest = ClassStates([spec]), [], -1, -1
        for t, class_id in answers:
            new = states.observe(classified(t, {class_id: 0.9} if class_id < 3 else {}, name="door")).get("door")
            if t < newest:
                assert new is None
                continue
            newest = t
            counted.append((t, class_id))
            if new is None:
                continue
            shown = 3 if new.class_id is None else new.class_id
            assert shown == class_id != last_id
            last_id = shown
            since_s = (new.since_utc_ns - utc(0)) / 10**9
            assert [c for _, c in counted[-spec.window :]].count(shown) >= agree
            assert (since_s, shown) in counted
            assert t - since_s >= for_s


class TestValues:
    @pytest.mark.parametrize("wrong", [{"agree": 0}, {"agree": 3, "last": 2}, {"for_s": -1.0}, {"least": 1.5}])
    def test_values_out_of_range_are_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="door: 1 <= agree <= last"):
            ClassSpec(name="door", labels=LABELS, **wrong)

    def test_thresholds_are_those_of_the_labels(self) -> None:
        with pytest.raises(ValueError, match="door: a threshold for each of 3 labels expected, got 2"):
            ClassSpec(name="door", labels=LABELS, thresholds=(0.5, 0.5))


class TestPayload:
    def test_it_is_what_the_contract_says(self) -> None:
        state = ClassState(class_name="open", class_id=0, score=0.91234, since_utc_ns=utc(1.25))
        assert encode_class(state) == b'{"class":"open","score":0.9123,"since":"2025-11-24T16:00:01.250Z"}'
        assert encode_class(None) == b"null"

    def test_every_state_fits_the_schema(self, schema: Draft202012Validator) -> None:
        for spec, scores in (
            (DOOR, {0: 0.9}),
            (ClassSpec(name="door", labels=LABELS, least=0.5), {}),
            (TAGS, {2: 0.3}),
        ):
            (state,) = ClassStates([spec]).observe(classified(0, scores, name=spec.name)).values()
            schema.validate(json.loads(encode_class(state)))
        schema.validate(json.loads(encode_class(None)))

    def test_all_that_is_there_is_told(self) -> None:
        (state,) = ClassStates([TAGS]).observe(classified(0, {0: 0.6, 2: 0.9}, name="tags")).values()
        said = json.loads(encode_class(state))
        assert list(said) == ["class", "score", "since", "classes"]
        assert said["classes"] == [{"class": "gloves", "score": 0.9}, {"class": "helmet", "score": 0.6}]

    @pytest.mark.parametrize(
        "wrong", [{"class": ""}, {"score": 1.2}, {"since": "2025-11-24T16:00:01Z"}, {"extra": 1}, {"classes": ["a"]}]
    )
    def test_the_schema_refuses_what_is_no_state(self, schema: Draft202012Validator, wrong: dict[str, Any]) -> None:
        good = {"class": "open", "score": 0.9, "since": "2025-11-24T16:00:01.250Z"}
        assert schema.is_valid(good)
        assert not schema.is_valid({**good, **wrong})
        for left_out in good:
            assert not schema.is_valid({key: value for key, value in good.items() if key != left_out})
