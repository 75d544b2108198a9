from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.events.ballot import Ballot

CLASSES = {"A": 0, "B": 1, "C": 2, "-": None}


def voted(votes: str, agree: int = 3) -> Ballot:
    """One vote a letter; `-` is for no class."""
    ballot = Ballot(agree=agree)
    for letter in votes:
        ballot = ballot.cast(CLASSES[letter], 0.8)
    return ballot


@pytest.mark.parametrize(
    ("votes", "label"),
    [
        ("A", None),
        ("AA", None),
        ("AAA", 0),
        ("ABA", None),
        ("ABAA", 0),
        ("ABCABCB", 1),
        ("AAABB", 0),
        ("AAABBB", 1),  # as many as had decided
        ("AAABBAB", 0),
        ("AAABBABB", 1),  # one A has to be made up for
        ("AAABCBCB", 1),
        ("AAABCB", 0),  # there are three others, but of two kinds
        ("AAAAAABBB", 0),  # a label that was confirmed takes more
        ("AAAAAABBBB", 0),
        ("AAAAAABBBBB", 1),
        ("A" * 50 + "BBBBB", 1),  # but never more than these
        ("---A", None),
        ("---AAA", 0),
        ("AAA---", None),
    ],
)
def test_what_the_votes_say(votes: str, label: int | None) -> None:
    assert voted(votes).label == label


@pytest.mark.parametrize(
    ("votes", "sure"),
    [
        ("AA", False),
        ("AAA", True),
        ("AAAB", False),
        ("AAABA", True),
        ("AAABBA", False),  # two votes are left
        ("AAAAAB", False),  # the newest is another: the object may have changed
        ("AAABBB", True),
        ("--", False),
        ("---", True),
    ],
)
def test_when_no_more_are_needed(votes: str, *, sure: bool) -> None:
    assert voted(votes).sure is sure


def test_where_one_decides_each_counts() -> None:
    assert [voted("ABBCA"[:n], agree=1).label for n in range(1, 6)] == [0, 1, 1, 2, 0]


def test_the_score_is_the_mean_of_the_votes_for_the_label() -> None:
    ballot = Ballot(agree=3)
    for class_id, score in ((0, 0.9), (1, 0.3), (0, 0.8), (0, 0.7)):
        ballot = ballot.cast(class_id, score)
    assert ballot.label == 0
    assert ballot.score == pytest.approx(0.8)
    ballot = ballot.cast(1, 0.2)
    assert ballot.score == pytest.approx(0.8)  # what is against the label does not change how sure it was
    ballot = ballot.cast(0, 0.6)
    assert ballot.score == pytest.approx((0.8 + 0.7 + 0.6) / 3)


@given(votes=st.text("ABC-", max_size=80), agree=st.integers(1, 5))
def test_a_label_is_taken_only_with_enough_votes_for_it_since_the_last_one(votes: str, agree: int) -> None:
    ballot, since, changes = Ballot(agree=agree), "", 0
    for letter in votes:
        before = ballot
        ballot = ballot.cast(CLASSES[letter], 0.5)
        since += letter
        if ballot.decided and not (before.decided and before.label == ballot.label):
            changes += 1
            assert ballot.label == CLASSES[letter]
            assert since.count(letter) >= agree
            since = ""
        assert all(len(scores) <= 2 * agree - 1 for scores in ballot.votes.values())
    assert changes * agree <= len(votes)


def test_three_wrong_answers_of_ten_hardly_ever_change_a_label(seed: int) -> None:
    rng = np.random.default_rng(seed)
    right = changes = 0
    for _ in range(100):
        ballot, labels = Ballot(agree=3), []
        for wrong in rng.random(60) < 0.3:
            ballot = ballot.cast(int(wrong), 0.8)
            labels += [ballot.label] if ballot.decided else []
        changes += sum(a != b for a, b in pairwise(labels))
        right += labels.count(0) / len(labels) > 0.5 and labels[-1] == 0
    assert changes <= 120  # of 6000 votes, 1800 of which are wrong
    assert right >= 85
