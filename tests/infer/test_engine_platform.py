"""Which CUDA a TensorRT is of, where its wheels tell."""

from __future__ import annotations

import importlib.metadata

import pytest

from streamer.infer.engine.platform import _cuda_of_wheels


@pytest.mark.parametrize(
    ("installed", "major"),
    [
        ({"tensorrt-cu13": "11.4.0.106"}, 13),
        ({"tensorrt-cu12": "11.4.0.106"}, 12),
        ({"tensorrt-cu12": "11.4.0.106", "tensorrt-cu13": "10.16.1.11"}, 12),  # left over from before
        ({}, None),
        ({"tensorrt-cu13": "10.16.1.11"}, None),
    ],
)
def test_the_wheel_of_the_version_in_use_tells(installed: dict[str, str], major: int | None) -> None:
    def version(name: str) -> str:
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    assert _cuda_of_wheels("11.4.0.106", version) == major
