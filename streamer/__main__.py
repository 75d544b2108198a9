"""Lets `python -m streamer` do what `streamer` does."""

from .cli import main

main()
