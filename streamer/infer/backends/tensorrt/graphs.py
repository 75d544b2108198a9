"""One batch size in one slot: an execution context that is never changed again, and the graph that was captured of it.

A captured graph holds the addresses and the inner state of its context: changing the shapes of that context and
replaying the graph is undefined (NVIDIA's advice: one context for each graph). So each batch size has its own; they
share the memory of their activations, because they run one after the other on one stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable

    import tensorrt

    from streamer.cuda.gpu import Graph, Stream

    from .logger import Tail


class Run:
    """A batch size, ready to be started. The GPU is current in whoever calls it."""

    def __init__(
        self,
        context: tensorrt.IExecutionContext,
        *,
        after: Callable[[Stream], None] | None,
        capturable: bool,
        tail: Tail,
    ) -> None:
        """Store.

        Args:
            context: with all shapes and addresses set.
            after: enqueues what is done with the outputs on the GPU.
            capturable: whether a graph may be tried at all.
            tail: where TensorRT's reasons stand.
        """
        self._context = context
        self._after = after
        self._capturable = capturable
        self._tail = tail
        self.warm = False  # whether it has run
        self._graph: Graph | None = None

    def start(self, stream: Stream) -> None:
        """Enqueue the network and what comes after it.

        The first time plainly: TensorRT allocates with the first run of a shape. From the second time on as a graph.

        Raises:
            CaptureFailed: it can't be captured, but has been started plainly, and will be from now on.
            BackendError: TensorRT or the GPU failed.
        """
        if self._graph is None and self.warm and self._capturable:
            try:
                self._graph = stream.capture(lambda: self._enqueue(stream))
            except BackendError as exc:
                self._capturable = False
                self._enqueue(stream)
                raise CaptureFailed(str(exc)) from exc
        if self._graph is not None:
            self._graph.launch(stream)
            return
        self._enqueue(stream)
        self.warm = True

    def close(self) -> None:
        """Let go of the graph first, then of the context; nothing is under way. Once."""
        if self._graph is not None:
            self._graph.close()
            self._graph = None
        del self._context
        self._after = None

    def _enqueue(self, stream: Stream) -> None:
        mark = self._tail.mark()
        if not self._context.execute_async_v3(stream.handle):
            raise BackendError(f"TensorRT can't run it: {self._tail.since(mark)}")
        if self._after is not None:
            self._after(stream)


class CaptureFailed(Exception):  # noqa: N818  an event to be told once, not an error: the batch is on its way
    """A batch has been started, but not as a graph."""
