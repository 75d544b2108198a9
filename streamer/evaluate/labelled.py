"""Labelled pictures of any of the usual layouts."""

from __future__ import annotations

from .truths import LabelledPicture, LabelledSet

__all__ = ["LabelledPicture", "LabelledSet"]
