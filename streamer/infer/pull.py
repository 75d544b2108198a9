"""A model's weights into the cache: from the network, a mirror or a folder, once, and only the right ones."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
import urllib.parse
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from streamer.core.errors import BackendError, ConfigError
from streamer.core.redact import redact

from .download import DownloadError, Progress, download, impostor, open_part, write_all
from .pull_faults import disk_said

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalogue import Catalogue, Entry

_BLOCK = 1 << 20
_POLL_S = 0.2  # between two looks at a lock
_STUCK_S = 120.0  # after which somebody else's download that does not grow is given up; its own limit is 30 s


class Watch(Protocol):
    """Who is told how a pull goes on."""

    def trying(self, address: str) -> None:
        """Tell where it comes from, without secrets."""

    def waiting(self) -> None:
        """Tell that somebody else is downloading the same file."""

    def at(self, done: int, size: int | None) -> None:
        """Tell how many bytes are here, of how many (None: not known)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """Weights that are here, their checksum right."""

    path: Path
    fetched: bool  # False: they were here before


def pull(entry: Entry, catalogue: Catalogue, *, origin: str | None, watch: Watch) -> Pulled:
    """Get a model's weights into the cache, unless they are here. Several at once make one download.

    Args:
        entry: the model.
        catalogue: where weights are looked for and go to.
        origin: a folder or the address of a mirror to take them from; None: the addresses in the sidecar.
        watch: is told how it goes on.

    Raises:
        ConfigError: `origin` is no folder and no address, or the sidecar names no plain file.
        BackendError: they can't be had, or can't be written; each address that was tried has its sentence.
    """
    sources = _sources(entry, origin)  # first: a wrong argument is one whether the file is here or not
    target = catalogue.cache / _plain(entry)
    sha256 = entry.sidecar.sha256
    if (here := _here(entry, catalogue)) is not None:
        return Pulled(path=here, fetched=False)
    if sha256 is None:
        raise BackendError(f"model {entry.name}: its checksum is not known ({entry.path} has no sha256)")
    if not sources:
        raise BackendError(
            f"model {entry.name}: nobody knows where its weights can be had; --from FOLDER names a place"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise BackendError(disk_said(target.parent, exc)) from exc
    part = target.with_name(f"{target.name}.part")
    with _alone(target.with_name(f"{target.name}.lock"), part, watch):
        if is_right(target, sha256):  # somebody else was faster
            return Pulled(path=target, fetched=False)
        _need_room(entry, part)
        _fetch(entry, sources, part, watch=watch, called=catalogue.called(entry))
        _settle(part, target)
    return Pulled(path=target, fetched=True)


def is_right(path: Path, sha256: str) -> bool:
    """Whether a file is there and has this checksum.

    Raises:
        BackendError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(_BLOCK):
                digest.update(block)
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise BackendError(f"{path}: can't be read ({exc.strerror})") from exc
    return digest.hexdigest() == sha256


def _plain(entry: Entry) -> str:
    """Return the file's name; one with folders in it could lead out of the cache."""
    name = entry.file_name
    if name != Path(name).name or name in {"", ".", ".."}:
        raise ConfigError(f"{entry.path}: file: {name!r} must be a plain name, to lie in the cache")
    return name


def _here(entry: Entry, catalogue: Catalogue) -> Path | None:
    """Return where the right weights lie, if they do. Wrong ones in the cache will be replaced."""
    path = catalogue.find(entry)
    if path is None:
        return None
    if entry.sidecar.sha256 is None or is_right(path, entry.sidecar.sha256):
        return path
    if path.parent != catalogue.cache:  # it comes before the cache, and is not ours to remove
        raise BackendError(f"{path}: is not {entry.name}: its sha256 is not the one in {entry.path}; move it away")
    return None


def _has_host(address: str) -> bool:
    try:
        return bool(urllib.parse.urlsplit(address).hostname)
    except ValueError:  # half an IPv6 address: the download says what is wrong with it
        return True


def _sources(entry: Entry, origin: str | None) -> list[Path | str]:
    """Return the places to try, the best first: files (paths) and addresses (text)."""
    said = entry.sidecar
    addresses = [*([said.url] if said.url else []), *(said.mirrors or ())]
    if origin is None:
        return [*addresses]
    last = [Path(urllib.parse.unquote(address.partition("?")[0])).name for address in addresses]
    names = list(dict.fromkeys([entry.file_name, *last]))  # as a cache names it, as its publisher does
    scheme = origin.partition("://")[0] if "://" in origin else ""
    if not origin.strip():
        raise ConfigError("--from: is empty; it is a folder, or an http or https address")
    if scheme in ("http", "https"):
        if not _has_host(origin):
            raise ConfigError(f"--from: {redact(origin)} names no host; an address is such as https://host/folder")
        if origin.endswith(Path(entry.file_name).suffix):
            return [origin]
        return [f"{origin.rstrip('/')}/{urllib.parse.quote(name)}" for name in names]
    if scheme not in ("", "file"):
        raise ConfigError(f"--from: {redact(origin)} is not allowed; it is a folder, or an http or https address")
    place = Path(urllib.parse.unquote(origin.removeprefix("file://")) if scheme else origin)
    if os.path.isfile(place):  # noqa: PTH113  pathlib's raises where a folder may not be entered
        return [place]
    if not os.path.isdir(place):  # noqa: PTH112  as above
        raise ConfigError(f"--from: there is no folder {place}")
    found: list[Path | str] = [place / name for name in names if os.path.isfile(place / name)]  # noqa: PTH113  as above
    if not found:
        raise BackendError(f"model {entry.name}: {place} holds no {' and no '.join(names)}")
    return found


@contextmanager
def _alone(lock: Path, part: Path, watch: Watch) -> Iterator[None]:
    """Hold the lock of a file while it is fetched; the kernel lets go of it whatever becomes of the process.

    Blocks on: somebody else's download, for as long as it grows.
    """
    while True:
        try:
            file = lock.open("ab")
        except OSError as exc:
            raise BackendError(disk_said(lock, exc)) from exc
        with file:
            _wait_for(file.fileno(), lock, part, watch)
            # Whoever had it has removed it: another file may be the lock by now.
            if not _is_still(lock, file.fileno()):
                continue
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def _is_still(path: Path, number: int) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(number), path.stat())
    except FileNotFoundError:
        return False


def _wait_for(lock_number: int, lock: Path, part: Path, watch: Watch) -> None:
    told, size, since = False, -1, time.monotonic()
    while True:
        try:
            fcntl.flock(lock_number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            if exc.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise BackendError(f"{lock}: can't be locked ({exc.strerror})") from exc
        else:
            return
        if not told:
            watch.waiting()
            told = True
        now = part.stat().st_size if part.exists() else 0
        if now != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > _STUCK_S:
            raise BackendError(f"{lock}: another process holds it, and has fetched nothing for {_STUCK_S:.0f} s")
        time.sleep(_POLL_S)


def _need_room(entry: Entry, part: Path) -> None:
    """Refuse early what the disk can't hold."""
    size = entry.sidecar.bytes or 0
    needed = size - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise BackendError(
            f"{part.parent}: the disk is too full: {entry.name} needs {needed / 1e6:.1f} MB, {free / 1e6:.1f} MB are"
            " free; make room, or choose another folder with STREAMER_CACHE"
        )


def _fetch(entry: Entry, sources: list[Path | str], part: Path, *, watch: Watch, called: str) -> None:
    """Fill the part file from the first source that has the right bytes."""
    failures = []
    for source in sources:
        watch.trying(redact(str(source)))
        try:
            _fetch_from(source, entry, part, watch.at)
        except DownloadError as exc:
            failures.append(str(exc))
        else:
            return
    raise BackendError(
        f"model {entry.name} can't be had: {'; '.join(failures)}. What another machine has pulled can be copied here: "
        f"`streamer models pull {called} --from FOLDER`; --from takes the address of a mirror, too"
    )


def _fetch_from(source: Path | str, entry: Entry, part: Path, progress: Progress) -> None:
    """Fill the part file from one source, and compare its checksum; a wrong one is removed."""
    said = entry.sidecar
    assert said.sha256 is not None  # noqa: S101  `pull` has asked
    resumed = part.exists() and isinstance(source, str)
    if isinstance(source, Path):
        _copy(source, part, progress)
    else:
        download(source, part, size=said.bytes, progress=progress)
    if is_right(part, said.sha256):
        return
    part.unlink()
    if resumed:  # what lay there was of something else
        _fetch_from(source, entry, part, progress)
        return
    raise DownloadError(
        f"{redact(str(source))}: is another file than {entry.path.name} tells of, whose sha256 is {said.sha256}; what"
        " came was removed"
    )


def _copy(source: Path, part: Path, progress: Progress) -> None:
    """Copy a file.

    Raises:
        DownloadError: it can't be read, or is no model.
        BackendError: the copy can't be written.
    """
    try:
        with source.open("rb") as given:
            size = os.fstat(given.fileno()).st_size
            what = impostor(given.read(512))
            if what is not None:
                raise DownloadError(f"{source}: is {what}")
            given.seek(0)
            with open_part(part, 0) as file:
                while block := given.read(_BLOCK):
                    write_all(file, block, part)
                    progress(file.tell(), size)
    except OSError as exc:
        raise DownloadError(f"{source}: can't be read ({exc.strerror})") from exc


def _settle(part: Path, target: Path) -> None:
    """Give the file its name, once it is safely on the disk."""
    try:
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as exc:
        raise BackendError(disk_said(target, exc)) from exc
