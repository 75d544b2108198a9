"""How far an evaluation is, on a terminal and elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.evaluate.progress import Watch

if TYPE_CHECKING:
    import pytest


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")  # what older versions of rich know
    monkeypatch.setenv("TERM", "xterm")
    assert list(Watch().pictures(iter("abc"), 3)) == ["a", "b", "c"]
    assert "1/3" in capsys.readouterr().err


def test_elsewhere_nothing_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "0")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert list(Watch().pictures(iter("abc"), 3)) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_who_is_stopped_learns_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "0")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    watch = Watch()
    assert watch.stopped() == "stopped while reading the labels"
    pictures = watch.pictures(iter("abc"), 3)
    next(pictures)
    next(pictures)
    assert watch.stopped() == "stopped after 2 of 3 pictures: nothing is scored"
    assert list(pictures) == ["c"]
    watch.doing = "saving"
    assert watch.stopped() == "stopped while saving"
