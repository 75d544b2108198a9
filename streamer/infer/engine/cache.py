"""Built engines on disk: found by their whole key, written whole or not at all, built by one process at a time.

An engine holds native code: it is loaded from here only, and only while it is, byte for byte, what was stored. The
checksums find damage, not an attack: against that the folder must be one that nobody else can write into.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamer.core.errors import BackendError
from streamer.infer.pull_faults import disk_said

from .key import SCHEMA, key_of, measured_as, model_part, platform_parts
from .private import check_private, make_private
from .progress import BuildStopped
from .stored import VERSION, StoredEngine, facts_text, read_facts_text, sync_folder, write_synced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from streamer.infer.spec import InputSpec, ModelSpec

    from .key import EngineKey
    from .platform import EnginePlatform

_log = logging.getLogger(__name__)

_POLL_S = 0.2  # between two looks at a lock that another process holds
_NOTE_S = 3.0  # for others to write down their proof; a build takes longer


@dataclass(frozen=True, slots=True)
class EngineCache:
    """The engines of one folder; it need not exist yet."""

    folder: Path

    def find(self, key: EngineKey) -> StoredEngine | None:
        """Return the engine of a key. One whose files are damaged is set aside, and a warning says so.

        Raises:
            BackendError: the cache can't be read or is open to others, or a damaged engine can't be moved.
        """
        check_private(self.folder)
        return self._stored(key.digest)

    def find_any(self, spec: ModelSpec, precision: str, platform: EnginePlatform) -> StoredEngine | None:
        """Return the newest engine of a model and precision for a platform, whatever its batch and calibration.

        Raises:
            BackendError: the model's files or the cache can't be read.
        """
        return self.find_model(spec.digest, spec.path, precision=precision, platform=platform, fed=spec.input)

    def find_model(
        self,
        digest: str,
        path: Path,
        *,
        precision: str,
        platform: EnginePlatform,
        max_batch: int = 1,
        fed: InputSpec | None = None,
    ) -> StoredEngine | None:
        """Return the newest engine of a model file.

        Args:
            digest: of the file, `sha256:...`.
            path: of the file; weights may lie beside it.
            precision: f32 | f16 | int8; of int8 whatever it was calibrated on.
            platform: where it will run.
            max_batch: pictures that it must take at once.
            fed: what it will be fed: scales of int8 that were measured on other numbers do not serve.

        Raises:
            BackendError: the model's files or the cache can't be read, or the cache is open to others.
        """
        check_private(self.folder)
        wanted = key_of({"schema": SCHEMA, "model": model_part(digest, path), **platform_parts(platform)}).parts
        found = [self._stored(facts.stem) for facts in sorted(self.folder.glob("*.json"))]
        fitting = [
            stored
            for stored in found
            if stored is not None
            and stored.key.precision == precision
            and stored.key.max_batch >= max_batch
            and all(stored.key.parts.get(name) == part for name, part in wanted.items())
            and (fed is None or measured_as(stored.key, fed))
        ]
        return max(fitting, key=lambda stored: str(stored.facts.get("built_at", "")), default=None)

    @contextlib.contextmanager
    def building(
        self,
        key: EngineKey,
        *,
        stopping: Callable[[], bool] = lambda: False,
        waiting: Callable[[], None] = lambda: None,
    ) -> Iterator[Path]:
        """Hold the key alone; who else holds it, also in another process, is waited for. `find` again inside.

        Args:
            key: of the engine.
            stopping: asked while waiting, several times a second.
            waiting: told as often that another has it.

        Yields:
            A folder for what is not done yet. It is removed at the end; where a process died in it, next time.

        Raises:
            BackendError: the cache can't be written, or is open to others.
            BuildStopped: `stopping` said so.
        """
        with self._written():
            make_private(self.folder)
            self._work.mkdir(exist_ok=True)
            lock = self._wait_for(key.digest, stopping, waiting)
        work = self._work / key.digest
        try:
            with self._written():
                self._sweep()
                shutil.rmtree(work, ignore_errors=True)  # of a process that died in it
                work.mkdir(exist_ok=True)
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)  # what can't be removed now is swept next time
            os.close(lock)

    def store(self, key: EngineKey, plan: bytes, facts: Mapping[str, Any]) -> StoredEngine:
        """Write an engine. Inside `building`.

        Raises:
            BackendError: the cache can't be written.
        """
        part = self._work / key.digest / "stored.plan"
        with self._written():
            write_synced(part, plan)
        return self.adopt(key, part, facts)

    def adopt(self, key: EngineKey, part: Path, facts: Mapping[str, Any]) -> StoredEngine:
        """Take a plan that lies, synced, in the folder of `building`. Inside it.

        Raises:
            BackendError: the cache can't be written.
        """
        plan_path, facts_path = self._plan(key.digest), self._facts(key.digest)
        with self._written():
            plan = part.read_bytes()
            stored = {
                **facts, "version": VERSION, "key": dict(key.parts),
                "plan_sha256": hashlib.sha256(plan).hexdigest(), "plan_bytes": len(plan),
            }  # fmt: skip
            # The facts make an engine known: they go first and come last, so that in between there is none.
            facts_path.unlink(missing_ok=True)
            part.replace(plan_path)
            self._write_facts(key.digest, stored)
        return StoredEngine(plan_path=plan_path, facts_path=facts_path, key=key, facts=stored)

    def note_proof(self, key: EngineKey, proof: Mapping[str, Any]) -> None:
        """Write down what the comparison with the reference has shown; read back as `facts["proof"]`.

        Raises:
            BackendError: the cache can't be written, holds no engine of this key, or somebody builds it anew just now.
        """
        until = time.monotonic() + _NOTE_S
        try:
            with self.building(key, stopping=lambda: time.monotonic() > until):
                stored = self.find(key)
                if stored is None:
                    raise BackendError(f"engine {self._plan(key.digest)}: is not here any more")
                with self._written():
                    self._write_facts(key.digest, {**stored.facts, "proof": dict(proof)})
        except BuildStopped:
            raise BackendError(f"engine {self._plan(key.digest)}: another process builds it anew just now") from None

    def set_aside(self, stored: StoredEngine, why: str) -> None:
        """Take an engine that can't be used out of the way (`.bad`), so that the next build makes it anew.

        Raises:
            BackendError: the cache can't be written.
        """
        _log.warning("engine %s is set aside, it has to be built anew: %s", stored.plan_path, why)
        with self._written():
            for path in (stored.facts_path, stored.plan_path):
                with contextlib.suppress(FileNotFoundError):  # another process was faster
                    path.replace(path.with_name(f"{path.name}.bad"))

    @property
    def _work(self) -> Path:
        return self.folder / "work"

    def _plan(self, digest: str) -> Path:
        return self.folder / f"{digest}.plan"

    def _facts(self, digest: str) -> Path:
        return self.folder / f"{digest}.json"

    def _stored(self, digest: str) -> StoredEngine | None:
        """Read what is known of an engine; one that is damaged is set aside."""
        plan_path, facts_path = self._plan(digest), self._facts(digest)
        facts, key, why = {}, key_of({}), None
        try:
            facts = read_facts_text(facts_path.read_bytes())
            key = key_of(facts["key"])
            size = plan_path.stat().st_size if plan_path.is_file() else None
            if key.digest != digest:
                why = "its facts are those of another engine"
            elif size != facts["plan_bytes"]:
                why = "its plan is missing" if size is None else "its plan is cut off"
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise BackendError(f"engine {facts_path}: can't be read ({exc.strerror})") from exc
        except (ValueError, KeyError, TypeError) as exc:
            why = f"its facts can't be understood ({exc})"
        stored = StoredEngine(plan_path=plan_path, facts_path=facts_path, key=key, facts=facts)
        if why is None:
            return stored
        self.set_aside(stored, why)
        return None

    def _write_facts(self, digest: str, facts: Mapping[str, Any]) -> None:
        part = self._work / digest / "facts"
        write_synced(part, facts_text(facts))
        part.replace(self._facts(digest))
        sync_folder(self.folder)

    def _wait_for(self, digest: str, stopping: Callable[[], bool], waiting: Callable[[], None]) -> int:
        """Take the lock of a key. A process that dies gives it back: the kernel holds it, not the file."""
        while (lock := self._locked(digest)) is None:
            waiting()
            if stopping():
                raise BuildStopped
            time.sleep(_POLL_S)
        return lock

    def _locked(self, digest: str) -> int | None:
        """Take the lock of a key; None: somebody else has it."""
        lock = os.open(self._work / f"{digest}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _sweep(self) -> None:
        """Remove what processes that died have left behind: folders whose lock nobody holds."""
        for work in [path for path in self._work.iterdir() if path.is_dir()]:
            lock = self._locked(work.name)
            if lock is not None:
                shutil.rmtree(work, ignore_errors=True)
                os.close(lock)

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise BackendError(f"engine cache {disk_said(self.folder, exc)}") from exc
