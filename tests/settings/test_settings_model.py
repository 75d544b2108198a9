"""What the configuration says of a model beyond its file, checked."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from streamer.check import spec_options
from streamer.settings.model import ModelSettings


def settings(**said: Any) -> ModelSettings:  # noqa: ANN401  any key
    return ModelSettings.model_validate({"model": "mobilenetv2", **said})


def test_a_classifiers_keys_reach_recognition() -> None:
    options = spec_options(settings(look="torch", resize=256, activation="sigmoid", threshold={"box": "0.4", "bag": 1}))
    assert (options.look, options.resize, options.activation) == ("torch", 256, "sigmoid")
    assert options.threshold == {"box": 0.4, "bag": 1.0}
    assert spec_options(settings(threshold="0.3")).threshold == 0.3


def test_a_gpu_and_when_its_engine_is_built() -> None:
    assert (settings().build, settings().device) == (None, 0)
    said = settings(backend="tensorrt", precision="int8", build="before", device="1")
    assert (said.backend, said.precision, said.build, said.device) == ("tensorrt", "int8", "before", 1)


@pytest.mark.parametrize(
    "said",
    [
        {"look": "cafe"}, {"resize": 4}, {"resize": "big"}, {"activation": "tanh"}, {"threshold": 1.1},
        {"threshold": {"box": "much"}}, {"build": "later"}, {"device": -1}, {"device": 64}, {"device": "gpu"},
        {"threshold": {}}, {"threshold": []},
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**said)
