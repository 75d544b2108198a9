"""What an engine is to be, and which shapes TensorRT is told."""

from __future__ import annotations

import pytest
from engine_values import EXTRA, input_of

from streamer.core.errors import ConfigError
from streamer.infer.engine.recipe import EngineRecipe, profile_of


def test_an_open_batch_becomes_a_profile_that_is_tuned_for_the_full_one() -> None:
    profile = profile_of(input_of(extras=(EXTRA,)), 4)
    assert profile == {
        "images": ((1, 3, 480, 640), (4, 3, 480, 640), (4, 3, 480, 640)),
        "orig_target_sizes": ((1, 2), (4, 2), (4, 2)),
    }


def test_channels_may_come_last() -> None:
    assert profile_of(input_of(layout="nhwc", dtype="uint8"), 1)["images"] == ((1, 480, 640, 3),) * 3


def test_a_fixed_batch_has_one_shape() -> None:
    assert profile_of(input_of(max_batch=4, fixed_batch=True), 4)["images"] == ((4, 3, 480, 640),) * 3


def test_a_picture_without_a_batch_axis_stays_without() -> None:
    assert profile_of(input_of(max_batch=1, batched=False), 1)["images"] == ((3, 480, 640),) * 3


@pytest.mark.parametrize(
    ("spec", "batch", "said"),
    [
        (input_of(max_batch=4, fixed_batch=True), 2, "the model computes 4 pictures at once, always; not 2"),
        (input_of(max_batch=1), 2, "the model computes at most 1 pictures at once; not 2"),
    ],
)
def test_a_batch_that_the_model_can_not_compute_is_refused(spec: object, batch: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        profile_of(spec, batch)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "values"),
    [
        ("precision: 'bf16' can't be built; allowed are f32, f16, int8", {"precision": "bf16"}),
        ("batch: 0 is too few", {"max_batch": 0}),
        ("device: -1 is no GPU", {"device": -1}),
        ("int8 needs pictures to calibrate on", {"precision": "int8"}),
        ("f16 takes no calibration", {"calibration": "0" * 64}),
    ],
)
def test_values_that_are_not_allowed(said: str, values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=said):
        EngineRecipe(**{"precision": "f16", "max_batch": 1, **values})  # type: ignore[arg-type]


def test_a_workspace_of_no_size_is_the_limit_of_ours() -> None:
    assert EngineRecipe(precision="f16", max_batch=1).workspace == 1 << 30
    assert EngineRecipe(precision="f16", max_batch=1, workspace_bytes=5).workspace == 5
