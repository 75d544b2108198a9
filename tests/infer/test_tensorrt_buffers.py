from __future__ import annotations

import numpy as np
import pytest

from streamer.core.errors import BackendError
from streamer.infer.backends.tensorrt.buffers import as_floats, nbytes_of, stored_as
from streamer.infer.backends.tensorrt.closing import Closing


def test_bfloat16_is_the_upper_half_of_a_float() -> None:
    values = np.array([0.0, -1.5, 3.140625, 1e30, np.inf], np.float32)
    halves = (values.view(np.uint32) >> 16).astype(np.uint16)
    read = as_floats(halves, "bfloat16")
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, values, rtol=2**-7)
    assert stored_as("bfloat16") == np.uint16
    assert nbytes_of((2, 3), "bfloat16") == 12


@pytest.mark.parametrize("dtype", ["float16", "int32", "int64", "int8", "uint8", "bool"])
def test_every_other_number_becomes_float32(dtype: str) -> None:
    values = np.array([0, 1, 1], dtype)
    read = as_floats(values, dtype)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, [0, 1, 1])
    assert nbytes_of((3,), dtype) == values.nbytes


def test_float32_is_not_copied() -> None:
    values = np.zeros(3, np.float32)
    assert np.shares_memory(as_floats(values, "float32"), values)


def test_an_end_goes_on_after_a_step_that_fails_and_tells_of_the_first() -> None:
    closing, done = Closing(), []

    def fail(why: str) -> None:
        done.append(why)
        raise BackendError(why)

    closing.callback(lambda: done.append("first added"))
    closing.callback(lambda: fail("lost"))
    closing.callback(lambda: fail("hot"))
    assert closing.close() == "hot"
    assert done == ["hot", "lost", "first added"]
    assert closing.close() is None
    assert len(done) == 3
