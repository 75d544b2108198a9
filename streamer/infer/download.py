"""One file over HTTP into a part file: resumed where it was cut off, each way of failing said in one sentence."""

from __future__ import annotations

import base64
import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain
from typing import IO, TYPE_CHECKING, Any

from streamer.core.errors import BackendError
from streamer.core.redact import redact

from .pull_faults import disk_said, reason, status_said

if TYPE_CHECKING:
    from pathlib import Path

# Told how many bytes are here, and of how many (None: not known).
Progress = Callable[[int, "int | None"], None]

IDLE_S = 30.0  # without data
_LEAST_BYTES = 1024  # in `IDLE_S`: a server that drips is one that stands still
_ATTEMPTS = 5  # at going on after a cut; each has brought something
_BLOCK = 1 << 18
_START = 512  # bytes that tell what a file is


class DownloadError(BackendError):
    """One address does not give the file; another may."""


class _CutOffError(Exception):
    """The answer has ended early."""


def download(
    url: str,
    part: Path,
    *,
    size: int | None = None,
    progress: Progress = lambda _done, _of: None,
    idle_s: float = IDLE_S,
) -> None:
    """Fetch a file into `part`, going on from what lies there.

    Whether it is the right one is the caller's to see, by its checksum: so what lies there may come from another
    address, or be of something else.

    Args:
        url: http or https, perhaps with a login; redirects are followed, to other hosts too.
        part: where the bytes go; made if need be. Beside it lies `*.etag` while it is unfinished.
        size: bytes that the file must have; None: not known.
        progress: called now and then.
        idle_s: limit of every wait for data.

    Raises:
        DownloadError: the address does not give the file; what came of it stays for the next time.
        BackendError: the part file can't be written.
    """
    _Download(url, part, size=size, progress=progress, idle_s=idle_s).run()


def open_part(part: Path, offset: int) -> IO[bytes]:
    """Open an unfinished file to write on at `offset` bytes, unbuffered.

    Raises:
        BackendError: it can't be written.
    """
    try:
        # A link would lead out of the cache.
        number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as exc:
        raise BackendError(disk_said(part, exc)) from exc
    file = os.fdopen(number, "wb", buffering=0)
    file.truncate(offset)
    file.seek(offset)
    return file


def write_all(file: IO[bytes], block: bytes, path: Path) -> int:
    """Write a block to the unbuffered file at `path`; return its length.

    Raises:
        BackendError: the disk is full or fails.
    """
    left = memoryview(block)
    try:
        while left:  # a disk that is nearly full takes less
            left = left[file.write(left) :]
    except OSError as exc:
        raise BackendError(disk_said(path, exc)) from exc
    return len(block)


def impostor(start: bytes, content_type: str = "") -> str | None:
    """Say what a file is whose first bytes are no model's, or None."""
    text = start.lstrip().lower()
    if text.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer, not the file itself"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")) or content_type in ("text/html", "application/xhtml+xml"):
        return "a web page, not the file (a log-in page of this network, or of the server?)"
    return None


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the head of a response says."""

    offset: int  # of its first byte in the file
    size: int | None  # of the whole file


class _Download:
    def __init__(self, url: str, part: Path, *, size: int | None, progress: Progress, idle_s: float) -> None:
        self._url = url
        self._part = part
        self._etag = part.with_name(f"{part.name}.etag")
        self._size = size
        self._progress = progress
        self._idle_s = idle_s

    def run(self) -> None:
        """Ask until all is here, as long as each answer brings some of it."""
        for _ in range(_ATTEMPTS):
            before = self._have()
            try:
                self._once(before)
            except _CutOffError as exc:
                if self._have() <= before:
                    raise self._error(f"{exc}; the next try goes on from there") from exc
            else:
                self._etag.unlink(missing_ok=True)
                return
        raise self._error(f"was cut off {_ATTEMPTS} times; the next try goes on at {self._have():,} bytes")

    def _have(self) -> int:
        return self._part.stat().st_size if self._part.is_file() else 0

    def _once(self, have: int) -> None:
        if self._size is not None and have == self._size:
            return
        if self._size is not None and have > self._size:
            have = 0
        try:
            with closing(self._open(have)) as response:
                answer = self._answer(response, have)
                self._copy(response, answer)
        except urllib.error.HTTPError as exc:
            exc.close()
            if exc.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
                raise self._error(status_said(exc.code, str(exc.reason))) from exc
            self._part.unlink(missing_ok=True)  # it is of something longer
            self._once(0)
        except (OSError, http.client.HTTPException, UnicodeError) as exc:  # a host's name that IDNA can't write
            raise self._error(reason(exc, self._idle_s)) from exc

    def _open(self, have: int) -> Any:  # noqa: ANN401  http.client.HTTPResponse, which urllib's stubs do not promise
        request = _request(self._url)
        if request is None:
            raise self._error("is no http or https address")
        if have:
            request.add_header("Range", f"bytes={have}-")
            with suppress(OSError, ValueError):
                url, etag = self._etag.read_text("utf-8").splitlines()
                if url == redact(self._url):  # else it says nothing; the checksum will
                    request.add_header("If-Range", etag)
        opener = urllib.request.build_opener(_Redirects)
        return opener.open(request, timeout=self._idle_s)

    def _answer(self, response: Any, have: int) -> _Answer:  # noqa: ANN401  as in `_open`
        """Read what part of the file comes, and compare its size."""
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
            if match is None or int(match[1]) != have:
                raise self._error("answers with another part of the file than was asked for")
            answer = _Answer(have, None if match[2] == "*" else int(match[2]))
        else:
            length = response.headers.get("Content-Length", "")
            answer = _Answer(0, int(length) if length.isdecimal() else None)
        return answer

    def _copy(self, response: Any, answer: _Answer) -> None:  # noqa: ANN401  as in `_open`
        """Write what comes. The first bytes are looked at before anything that is here is overwritten."""
        blocks = self._blocks(response, answer.offset)
        start = b""
        if answer.offset == 0:
            while len(start) < _START and (more := next(blocks, b"")):
                start += more
            what = impostor(start, response.headers.get_content_type())
            if what is not None:
                raise self._error(f"answers with {what}")
        if None not in (answer.size, self._size) and answer.size != self._size:
            raise self._error(f"has {answer.size:,} bytes, not {self._size:,}: it is not the file that is meant")
        size = self._size if answer.size is None else answer.size
        done = answer.offset
        with open_part(self._part, done) as file:
            self._remember(response)
            for block in chain([start], blocks):
                if size is not None and done + len(block) > size:
                    raise self._error(f"gives more than the {size:,} bytes that it should have")
                done += write_all(file, block, self._part)
                self._progress(done, size)
        if size is not None and done < size:
            raise _CutOffError(f"was cut off at {done:,} of {size:,} bytes")

    def _blocks(self, response: Any, done: int) -> Iterator[bytes]:  # noqa: ANN401  as in `_open`
        """Give what comes, block by block, for as long as enough of it comes."""
        since, then = time.monotonic(), done
        while True:
            try:
                block = response.read1(_BLOCK)
            except (OSError, http.client.HTTPException) as exc:
                raise _CutOffError(f"was cut off at {done:,} bytes: {reason(exc, self._idle_s)}") from exc
            if not block:
                return
            done += len(block)
            yield block
            if time.monotonic() - since > self._idle_s:
                if done - then < _LEAST_BYTES:
                    raise _CutOffError(f"gave {done - then} bytes in {self._idle_s:.0f} s, at {done:,} bytes")
                since, then = time.monotonic(), done

    def _remember(self, response: Any) -> None:  # noqa: ANN401  as in `_open`
        etag = response.headers.get("ETag", "").strip()
        strong = etag.startswith('"') and etag.isprintable()  # a weak one (W/) does not tell parts apart
        try:
            self._etag.unlink(missing_ok=True)  # it may be a link
            if strong:
                self._etag.write_text(f"{redact(self._url)}\n{etag}\n", "utf-8")
        except OSError as exc:
            raise BackendError(disk_said(self._etag, exc)) from exc

    def _error(self, said: str) -> DownloadError:
        return DownloadError(f"{_shown(self._url)}: {said}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects over HTTP alone, 308 too, which urllib of Python 3.10 does not know."""

    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,  # noqa: ARG002  the signature urllib calls
        headers: Any,  # noqa: ANN401  an HTTPMessage, which the stubs do not say
        newurl: str,
    ) -> urllib.request.Request:
        """Return the next request; a login stays with the host that it is for."""
        if urllib.parse.urlsplit(newurl).scheme not in ("http", "https"):
            raise urllib.error.HTTPError(req.full_url, code, f"redirects to {newurl[:80]}", headers, fp)
        return urllib.request.Request(newurl, headers=dict(req.headers), unverifiable=True)  # noqa: S310  just checked


def _request(url: str) -> urllib.request.Request | None:
    """Return the request for an address, its login moved to a header, or None if it is no http address."""
    try:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or parts.port == 0:
            return None
    except ValueError:  # brackets that hold no IPv6 address, or a port that is no number
        return None
    login, _, host = parts.netloc.rpartition("@")
    path = urllib.parse.quote(parts.path, safe="/%:@!$&'()*+,;=~")
    request = urllib.request.Request(  # noqa: S310  just checked
        urllib.parse.urlunsplit((parts.scheme, host, path, parts.query, "")),
        # Compressed bytes have another size, and no parts that can be asked for.
        headers={"User-Agent": "streamer", "Accept-Encoding": "identity"},
    )
    if login:
        encoded = base64.b64encode(urllib.parse.unquote_to_bytes(login)).decode()
        request.add_unredirected_header("Authorization", f"Basic {encoded}")
    return request


def _shown(url: str) -> str:
    """Return an address for a message: without its password, on one line."""
    shown = redact(url)
    return shown if shown.isprintable() else repr(shown)
