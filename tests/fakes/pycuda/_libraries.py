"""Stand-ins for libcuda and NVRTC, called as ctypes calls the real ones."""

# ruff: noqa: ANN401, ARG002, N802  the libraries' own names, and whatever ctypes hands over

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from . import _errors as e
from ._machine import machine
from ._streams import Work

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeDriver:
    """libcuda.so.1, as far as graphs and the search for GPUs need it."""

    def cuInit(self, flags: Any) -> int:
        return e.NO_DEVICE if not machine.devices else self._code()

    def cuDriverGetVersion(self, version: Any) -> int:
        version._obj.value = machine.driver_version
        return e.SUCCESS

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = len(machine.devices)
        return self._code()

    def cuDeviceGet(self, device: Any, ordinal: Any) -> int:
        if not 0 <= _number(ordinal) < len(machine.devices):
            return e.INVALID_DEVICE
        device._obj.value = _number(ordinal)
        return self._code()

    def cuDeviceGetName(self, name: Any, length: Any, device: Any) -> int:
        name.value = machine.devices[_number(device)].name.encode()[: _number(length) - 1]
        return self._code()

    def cuDeviceGetAttribute(self, value: Any, attribute: Any, device: Any) -> int:
        facts = machine.devices[_number(device)]
        major, minor = facts.compute_capability
        known = {16: facts.multiprocessors, 18: int(facts.integrated), 75: major, 76: minor}
        if _number(attribute) not in known:
            return e.INVALID_VALUE
        value._obj.value = known[_number(attribute)]
        return self._code()

    def cuDeviceTotalMem_v2(self, nbytes: Any, device: Any) -> int:
        nbytes._obj.value = machine.devices[_number(device)].memory_bytes
        return self._code()

    def cuDevicePrimaryCtxSetFlags_v2(self, device: Any, flags: Any) -> int:
        machine.primary_flags = _number(flags)
        return self._code()

    def cuGetErrorString(self, code: Any, text: Any) -> int:
        words = e.TEXT.get(_number(code))
        if words is None:
            return e.INVALID_VALUE
        text._obj.value = words.encode()
        return e.SUCCESS

    def cuStreamBeginCapture_v2(self, stream: Any, mode: Any) -> int:
        return self._called(lambda: machine.stream("", _number(stream)).begin_capture(_number(mode)))

    def cuStreamEndCapture(self, stream: Any, graph: Any) -> int:
        def end() -> int:
            code, works = machine.stream("", _number(stream)).end_capture()
            if machine.fail_capture and not code:
                code = e.CAPTURE_INVALIDATED
            graph._obj.value = None
            if not code:
                graph._obj.value = machine.handle()
                machine.graphs[graph._obj.value] = works
            return code

        return self._called(end)

    def cuGraphInstantiateWithFlags(self, executable: Any, graph: Any, flags: Any) -> int:
        works = machine.graphs.get(_number(graph))
        if works is None or _number(flags):
            return e.INVALID_VALUE
        executable._obj.value = machine.handle()
        machine.executables[executable._obj.value] = works
        return self._called(lambda: e.SUCCESS)

    def cuGraphLaunch(self, executable: Any, stream: Any) -> int:
        works = machine.executables.get(_number(executable))
        if works is None:
            return e.INVALID_HANDLE

        def launch() -> int:
            target = machine.stream("", _number(stream))
            for work in works:
                target.enqueue("cuGraphLaunch", Work(work.name, work.run, work.uses, work.owner))
            machine.graph_launches += 1
            return e.SUCCESS

        return self._called(launch)

    def cuGraphExecDestroy(self, executable: Any) -> int:
        if not machine.stack:
            return e.INVALID_CONTEXT
        return self._code() if machine.executables.pop(_number(executable), None) is not None else e.INVALID_VALUE

    def cuGraphDestroy(self, graph: Any) -> int:
        return e.SUCCESS if machine.graphs.pop(_number(graph), None) is not None else e.INVALID_VALUE

    def _code(self) -> int:
        return machine.broken or e.SUCCESS

    def _called(self, work: Callable[[], int]) -> int:
        try:
            machine.current("")
            return work()
        except e.Error as exc:
            return exc.code_


_ARCHITECTURES = (75, 80, 86, 87, 89, 90)  # of NVRTC 12.6


class FakeNvrtc:
    """libnvrtc: what it "compiles" to is the source."""

    def __init__(self) -> None:
        self._programs: dict[int, tuple[bytes, bytes]] = {}  # handle -> (source, log)

    def nvrtcVersion(self, major: Any, minor: Any) -> int:
        major._obj.value, minor._obj.value = divmod(machine.driver_version // 10, 100)
        return 0

    def nvrtcGetNumSupportedArchs(self, number: Any) -> int:
        number._obj.value = len(_ARCHITECTURES)
        return 0

    def nvrtcGetSupportedArchs(self, known: Any) -> int:
        known[:] = _ARCHITECTURES
        return 0

    def nvrtcCreateProgram(self, program: Any, source: Any, name: Any, count: Any, headers: Any, names: Any) -> int:
        program._obj.value = machine.handle()
        self._programs[program._obj.value] = (_bytes(source), b"")
        return 0

    def nvrtcCompileProgram(self, program: Any, count: Any, options: Any) -> int:
        machine.compilations += 1
        source, _ = self._programs[_number(program)]
        self._programs[_number(program)] = (source, machine.compile_log.encode())
        return 6 if machine.compile_log else 0  # 6 = NVRTC_ERROR_COMPILATION

    def nvrtcGetPTXSize(self, program: Any, size: Any) -> int:
        size._obj.value = len(self._programs[_number(program)][0]) + 1
        return 0

    def nvrtcGetPTX(self, program: Any, ptx: Any) -> int:
        ptx.value = self._programs[_number(program)][0]
        return 0

    def nvrtcGetProgramLogSize(self, program: Any, size: Any) -> int:
        size._obj.value = len(self._programs[_number(program)][1]) + 1
        return 0

    def nvrtcGetProgramLog(self, program: Any, log: Any) -> int:
        log.value = self._programs[_number(program)][1]
        return 0

    def nvrtcDestroyProgram(self, program: Any) -> int:
        self._programs.pop(program._obj.value)
        return 0

    def nvrtcGetErrorString(self, code: Any) -> bytes:
        return b"NVRTC_ERROR_COMPILATION" if _number(code) == 6 else b"NVRTC_ERROR"


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int) else int(value.value or 0)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else bytes(value.value)


class PatchedCDLL(ctypes.CDLL):
    """ctypes.CDLL, but for the two libraries, which here are objects of Python."""

    def __new__(cls, name: Any = None, *args: Any, **kwargs: Any) -> Any:
        if isinstance(name, str) and "libcuda.so" in name:
            return FakeDriver()
        if isinstance(name, str) and "libnvrtc.so" in name:
            return FakeNvrtc()
        return _REAL(name, *args, **kwargs)


_REAL = ctypes.CDLL
