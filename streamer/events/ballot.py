"""How the answers about one object become its label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

Votes = Mapping["int | None", tuple[float, ...]]  # class id, None for "no class" -> the scores of the answers for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """The votes about one object. The first class with `agree` of them is its label.

    From then on each vote for the label makes it stronger, up to nearly twice `agree`, and weakens the others; each one
    for another class weakens it. It gives way to a class with `agree` votes when it has none left: that takes `agree`
    differing answers in a row soon after the decision, and some more once it has been confirmed. So three wrong answers
    of ten hardly ever change it.
    """

    agree: int
    label: int | None = None  # class id; None: no class
    score: float = 0.0  # of the label: the mean of the votes for it
    decided: bool = False
    votes: Votes = field(default_factory=dict)  # at most 2 * agree - 1 for each class, the oldest first
    newest: int | None = None  # class id of the last vote

    @property
    def sure(self) -> bool:
        """Whether no more votes are needed."""
        return self.decided and self.newest == self.label and len(self.votes[self.label]) >= self.agree

    def cast(self, class_id: int | None, score: float) -> Ballot:
        """Return it with one more vote."""
        votes = dict(self.votes)
        votes[class_id] = (*votes.get(class_id, ()), score)[1 - 2 * self.agree :]
        if self.decided:
            weakened = [other for other in votes if other != class_id] if class_id == self.label else [self.label]
            votes |= {other: votes[other][1:] for other in weakened}
        ballot = replace(self, votes=votes, newest=class_id)
        enough = len(votes[class_id]) >= self.agree
        if enough and (not self.decided or not votes[self.label]):
            own = votes[class_id]
            return replace(ballot, decided=True, label=class_id, score=_mean(own), votes={class_id: own})
        if self.decided and class_id == self.label:
            return replace(ballot, score=_mean(votes[class_id]))
        return ballot


def _mean(scores: tuple[float, ...]) -> float:
    return sum(scores) / len(scores)
