"""Pulls: from addresses, mirrors and folders, one download for all who ask, and nothing that is not right."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from servers.weights import WeightsServer, give, pour, say

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.catalogue import Catalogue, Entry
from streamer.infer.pull import Pulled, pull
from streamer.infer.sidecar import load_sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL = bytes(range(256)) * 4000  # 1 MB
SHA256 = hashlib.sha256(MODEL).hexdigest()


@dataclass
class Told:
    """What a watcher was told."""

    addresses: list[str] = field(default_factory=list)
    waited: int = 0
    done: int = 0

    def trying(self, address: str) -> None:
        self.addresses.append(address)

    def waiting(self) -> None:
        self.waited += 1

    def at(self, done: int, size: int | None) -> None:
        assert size is None or done <= size
        self.done = done


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")  # the servers here are on this machine


@pytest.fixture
def server() -> Iterator[WeightsServer]:
    with WeightsServer(files={"/v1/upstream.onnx": MODEL}) as running:
        yield running


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    (tmp_path / "engines").mkdir()
    return Catalogue((tmp_path / "engines",), tmp_path / "new" / "cache")


def entry_of(catalogue: Catalogue, server: WeightsServer, *lines: str, sha256: str | None = SHA256) -> Entry:
    said = [f"url: {server.url('/v1/upstream.onnx')}", f"bytes: {len(MODEL)}", *lines]
    if sha256 is not None:
        said.append(f"sha256: {sha256}")
    (catalogue.folders[0] / "net.yaml").write_text("\n".join(said) + "\n")
    return catalogue.entry("net")


def get(entry: Entry, catalogue: Catalogue, origin: str | Path | None = None, told: Told | None = None) -> Pulled:
    return pull(entry, catalogue, origin=None if origin is None else str(origin), watch=told or Told())


def refused(entry: Entry, catalogue: Catalogue, origin: str | Path | None = None) -> str:
    with pytest.raises(BackendError) as caught:
        get(entry, catalogue, origin)
    assert "\n" not in str(caught.value)
    assert not (catalogue.cache / "net.onnx").exists()
    return str(caught.value)


def left(catalogue: Catalogue) -> list[str]:
    return sorted(os.listdir(catalogue.cache))  # noqa: PTH208  names alone


def test_weights_come_into_the_cache_and_nothing_else_stays(catalogue: Catalogue, server: WeightsServer) -> None:
    entry, told = entry_of(catalogue, server), Told()
    assert get(entry, catalogue, told=told) == Pulled(path=catalogue.cache / "net.onnx", fetched=True)
    assert (catalogue.cache / "net.onnx").read_bytes() == MODEL
    assert left(catalogue) == ["net.onnx"]
    assert told == Told(addresses=[server.url("/v1/upstream.onnx")], done=len(MODEL))


def test_what_is_here_is_not_fetched_again(catalogue: Catalogue, server: WeightsServer) -> None:
    entry = entry_of(catalogue, server)
    get(entry, catalogue)
    server.asked.clear()
    assert get(entry, catalogue).fetched is False
    (catalogue.cache / "net.onnx").rename(catalogue.folders[0] / "net.onnx")
    assert get(entry, catalogue) == Pulled(path=catalogue.folders[0] / "net.onnx", fetched=False)
    assert server.asked == []


def test_wrong_bytes_in_the_cache_are_replaced(catalogue: Catalogue, server: WeightsServer) -> None:
    catalogue.cache.mkdir(parents=True)
    (catalogue.cache / "net.onnx").write_bytes(MODEL[:-1] + b"x")
    assert get(entry_of(catalogue, server), catalogue).fetched
    assert (catalogue.cache / "net.onnx").read_bytes() == MODEL


def test_wrong_bytes_beside_the_sidecar_are_somebodys_own(catalogue: Catalogue, server: WeightsServer) -> None:
    (catalogue.folders[0] / "net.onnx").write_bytes(b"mine")
    with pytest.raises(BackendError, match=r"is not net: its sha256 is not the one in .*move it away"):
        get(entry_of(catalogue, server), catalogue)
    assert (catalogue.folders[0] / "net.onnx").read_bytes() == b"mine"


def test_bytes_with_another_checksum_are_removed(catalogue: Catalogue, server: WeightsServer) -> None:
    server.files["/v1/upstream.onnx"] = MODEL[::-1]
    said = refused(entry_of(catalogue, server), catalogue)
    assert f"is another file than net.yaml tells of, whose sha256 is {SHA256}; what came was removed" in said
    assert left(catalogue) == []


def test_a_part_of_something_else_costs_a_second_download(catalogue: Catalogue, server: WeightsServer) -> None:
    catalogue.cache.mkdir(parents=True)
    for rest in (b"x" * 5000, b"x" * len(MODEL), b"x" * (len(MODEL) + 1)):
        (catalogue.cache / "net.onnx.part").write_bytes(rest)
        assert get(entry_of(catalogue, server), catalogue).fetched
        assert (catalogue.cache / "net.onnx").read_bytes() == MODEL
        (catalogue.cache / "net.onnx").unlink()


def test_the_next_address_is_tried(catalogue: Catalogue, server: WeightsServer) -> None:
    server.answers["/v1/upstream.onnx"] = say(200, b"<html>gone", Content_Type="text/html")
    server.answers["/b/x.onnx"] = give(MODEL, stop_after=1000)
    server.files["/c/y.onnx"] = MODEL
    told = Told()
    get(
        entry_of(catalogue, server, f"mirrors: ['{server.url('/b/x.onnx')}', '{server.url('/c/y.onnx')}']"),
        catalogue,
        told=told,
    )
    assert (catalogue.cache / "net.onnx").read_bytes() == MODEL
    assert told.addresses == [server.url(path) for path in ("/v1/upstream.onnx", "/b/x.onnx", "/c/y.onnx")]
    assert server.asked[-1].range == "bytes=5000-"  # what one mirror gave, the next goes on with


def test_when_all_fail_each_has_its_sentence_and_the_way_out(catalogue: Catalogue, server: WeightsServer) -> None:
    server.answers["/v1/upstream.onnx"] = say(503)
    said = refused(entry_of(catalogue, server, f"mirrors: ['{server.url('/none.onnx')}']"), catalogue)
    assert "upstream.onnx: the server has a fault of its own (HTTP 503); try again later; " in said
    assert "none.onnx: there is no such file (HTTP 404)" in said
    assert "`streamer models pull net --from FOLDER`" in said


@pytest.mark.parametrize("name", ["net.onnx", "upstream.onnx"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_from_a_folder(catalogue: Catalogue, server: WeightsServer, tmp_path: Path, name: str, scheme: str) -> None:
    (tmp_path / "usb stick").mkdir()
    (tmp_path / "usb stick" / name).write_bytes(MODEL)
    told = Told()
    origin = f"{scheme}{tmp_path}/usb stick" if not scheme else f"{scheme}{tmp_path}/usb%20stick"
    assert get(entry_of(catalogue, server), catalogue, origin, told).fetched
    assert (catalogue.cache / "net.onnx").read_bytes() == MODEL
    assert told.done == len(MODEL)
    assert left(catalogue) == ["net.onnx"]
    assert server.asked == []


def test_from_the_file_itself(catalogue: Catalogue, server: WeightsServer, tmp_path: Path) -> None:
    (tmp_path / "any.onnx").write_bytes(MODEL)
    assert get(entry_of(catalogue, server), catalogue, tmp_path / "any.onnx").fetched


@pytest.mark.parametrize("path", ["/mirror", "/mirror/", "/mirror/net.onnx", "/mirror/other.onnx"])
def test_from_a_mirror(catalogue: Catalogue, server: WeightsServer, path: str) -> None:
    server.files |= {"/mirror/net.onnx": MODEL, "/mirror/other.onnx": MODEL}
    get(entry_of(catalogue, server), catalogue, server.url(path))
    assert (catalogue.cache / "net.onnx").read_bytes() == MODEL
    assert server.asked[0].path.startswith("/mirror/")


def test_a_mirror_may_use_the_publishers_name(catalogue: Catalogue, server: WeightsServer) -> None:
    get(entry_of(catalogue, server), catalogue, server.url("/v1"))
    assert [asked.path for asked in server.asked] == ["/v1/net.onnx", "/v1/upstream.onnx"]


def test_what_a_folder_can_have_wrong(catalogue: Catalogue, server: WeightsServer, tmp_path: Path) -> None:
    entry = entry_of(catalogue, server)
    folder = tmp_path / "copy"
    with pytest.raises(ConfigError, match=f"--from: there is no folder {folder}"):
        get(entry, catalogue, folder)
    with pytest.raises(ConfigError, match="--from: ftp://h/x is not allowed"):
        get(entry, catalogue, "ftp://h/x")
    assert "is no http or https address" in refused(entry, catalogue, "http://u:geheim@[::1")
    assert "geheim" not in refused(entry, catalogue, "http://u:geheim@[::1")
    folder.mkdir()
    assert "holds no net.onnx and no upstream.onnx" in refused(entry, catalogue, folder)
    (folder / "net.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert f"{folder}/net.onnx: is a git-lfs pointer" in refused(entry, catalogue, folder)
    (folder / "net.onnx").write_bytes(MODEL[:-1])
    assert "is another file than " in refused(entry, catalogue, folder)
    assert (folder / "net.onnx").read_bytes() == MODEL[:-1]  # it is not ours


@pytest.mark.parametrize("name", ["../net.onnx", "/net.onnx", "sub/net.onnx", "..", "."])
def test_nothing_is_written_outside_the_cache(catalogue: Catalogue, server: WeightsServer, name: str) -> None:
    with pytest.raises(ConfigError, match="must be a plain name"):
        get(entry_of(catalogue, server, f"file: {name}"), catalogue)
    assert not catalogue.cache.exists()


def test_without_a_checksum_or_an_address_nothing_is_fetched(catalogue: Catalogue, server: WeightsServer) -> None:
    assert "its checksum is not known" in refused(entry_of(catalogue, server, sha256=None), catalogue)
    (catalogue.folders[0] / "net.yaml").write_text(f"sha256: {SHA256}\n")
    assert "nobody knows where" in refused(catalogue.entry("net"), catalogue)
    assert server.asked == []


def test_a_disk_that_is_too_full_is_said_before_anything_is_asked(
    catalogue: Catalogue, server: WeightsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 1000))
    assert "the disk is too full: net needs 1.0 MB, 0.0 MB are free" in refused(entry_of(catalogue, server), catalogue)
    assert server.asked == []


def test_a_cache_that_cant_be_made_is_named(catalogue: Catalogue, server: WeightsServer) -> None:
    catalogue.cache.parent.write_bytes(b"a file")
    with pytest.raises(BackendError, match=r"cache: can't be written .*STREAMER_CACHE"):
        get(entry_of(catalogue, server), catalogue)


def test_threads_that_pull_the_same_make_one_download(catalogue: Catalogue, server: WeightsServer) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(handler: object) -> None:
        begun.set()
        go.wait(5)
        give(MODEL)(handler)  # type: ignore[arg-type]

    server.answers["/v1/upstream.onnx"] = slow
    entry, told = entry_of(catalogue, server), [Told() for _ in range(4)]
    waiting = threading.Semaphore(0)
    for one in told:
        one.waiting = lambda: waiting.release()  # type: ignore[method-assign]  # noqa: PLW0108  it returns nothing
    with ThreadPoolExecutor(4) as pool:
        pulls = [pool.submit(get, entry, catalogue, told=one) for one in told]
        assert begun.wait(5)
        for _ in range(3):
            assert waiting.acquire(timeout=5)
        go.set()
        fetched = sorted(p.result(timeout=5).fetched for p in pulls)
    assert fetched == [False, False, False, True]
    assert len(server.asked) == 1
    assert left(catalogue) == ["net.onnx"]


def one_pull(folder: Path, cache: Path) -> bool:
    catalogue = Catalogue((folder,), cache)
    return pull(catalogue.entry("net"), catalogue, origin=None, watch=Told()).fetched


@pytest.mark.timeout(30)
def test_processes_that_pull_the_same_make_one_download(catalogue: Catalogue, server: WeightsServer) -> None:
    entry_of(catalogue, server)
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool:
        pulls = [pool.submit(one_pull, catalogue.folders[0], catalogue.cache) for _ in range(3)]
        fetched = sorted(p.result(timeout=20) for p in pulls)
    assert fetched == [False, False, True]
    assert len(server.asked) == 1
    assert left(catalogue) == ["net.onnx"]


def test_the_one_who_waited_tries_himself_if_the_other_failed(catalogue: Catalogue, server: WeightsServer) -> None:
    begun, go = threading.Event(), threading.Event()

    def first(handler: object) -> None:
        begun.set()
        go.wait(5)
        server.answers.clear()
        say(404)(handler)  # type: ignore[arg-type]

    server.answers["/v1/upstream.onnx"] = first
    entry = entry_of(catalogue, server)
    waiting = threading.Event()
    told = Told()
    told.waiting = waiting.set  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as pool:
        failing = pool.submit(get, entry, catalogue)
        assert begun.wait(5)
        second = pool.submit(get, entry, catalogue, told=told)
        assert waiting.wait(5)
        go.set()
        with pytest.raises(BackendError, match="404"):
            failing.result(timeout=5)
        assert second.result(timeout=5).fetched


def test_a_lock_of_one_that_does_nothing_is_given_up(
    catalogue: Catalogue, server: WeightsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.infer.pull._STUCK_S", 0.3)
    done = threading.Event()
    server.answers["/v1/upstream.onnx"] = pour(MODEL[:10], length=len(MODEL), hold=done)
    entry = entry_of(catalogue, server)
    begun = threading.Event()
    told = Told()
    told.trying = lambda address: begun.set()  # type: ignore[method-assign]  # noqa: ARG005  the watcher's signature
    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(get, entry, catalogue, told=told)
        assert begun.wait(5)
        said = refused(entry, catalogue)
        server.answers.clear()
        done.set()
        assert holder.result(timeout=5).fetched
    assert "another process holds it, and has fetched nothing" in said


def test_a_lock_that_a_killed_process_has_left_holds_nobody_up(catalogue: Catalogue, server: WeightsServer) -> None:
    catalogue.cache.mkdir(parents=True)
    (catalogue.cache / "net.onnx.lock").touch()
    told = Told()
    assert get(entry_of(catalogue, server), catalogue, told=told).fetched
    assert told.waited == 0
    assert left(catalogue) == ["net.onnx"]


def test_a_sidecar_of_ones_own_is_pulled_too(catalogue: Catalogue, server: WeightsServer, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"url: {server.url('/v1/upstream.onnx')}\nsha256: {SHA256}\n")
    entry = Entry(name="own", path=path, sidecar=load_sidecar(path))
    assert get(entry, catalogue).path == catalogue.cache / "own.onnx"
