"""The fake of pycuda: each of its rules, broken once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvidia import FakeGpu
    from pycuda import driver


@pytest.fixture
def cuda(fake_gpu: FakeGpu) -> Iterator[driver]:  # type: ignore[valid-type]
    """The fake's `pycuda.driver`, with a context pushed."""
    assert fake_gpu
    from pycuda import driver as cuda  # noqa: PLC0415  there only while the fixture is

    cuda.init()
    context = cuda.Device(0).retain_primary_context()
    context.push()
    yield cuda
    cuda.Context.pop()


def test_a_result_is_there_only_after_waiting(cuda: driver) -> None:
    stream, memory = cuda.Stream(1), cuda.mem_alloc(16)
    source, target = cuda.pagelocked_empty(4, np.float32), cuda.pagelocked_empty(4, np.float32)
    source[:], target[:] = 7, 0
    cuda.memcpy_htod_async(int(memory), source, stream)
    cuda.memcpy_dtoh_async(target, int(memory), stream)
    assert (target == 0).all()
    stream.synchronize()
    assert (target == 7).all()
    memory.free()
