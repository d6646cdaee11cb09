"""What sinks have in common: what they write shows when it is whole, or not at all."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import BinaryIO, ClassVar, Generic, Self, TypeVar

from layerlens.errors import ArgumentError, StoreError
from layerlens.records import LayerEmbedding, RunInfo
from layerlens.sinks._atomic import AtomicFile, AtomicFolder, writing

__all__ = ["AtomicSink", "Layers", "WholeFileSink", "in_order", "require_same_run"]

Layers = Mapping[str, LayerEmbedding] | Iterable[LayerEmbedding]


def in_order(embeddings: Layers, verb: str) -> list[LayerEmbedding]:
    """Return layers in the order of depth.

    Raises
    ------
    ArgumentError
        If there are none, or they come from several runs.
    """
    values = embeddings.values() if isinstance(embeddings, Mapping) else embeddings
    layers = sorted(values, key=lambda layer: layer.index)
    if not layers:
        raise ArgumentError(f"there is no layer to {verb}")
    if any(layer.run is not layers[0].run for layer in layers):
        raise ArgumentError(f"the layers come from several runs; {verb} each run by itself")
    return layers


def require_same_run(embedding: LayerEmbedding, run: RunInfo | None) -> None:
    """Refuse a layer of another run than that of the layers before it, if there are any.

    Raises
    ------
    StoreError
        If it is of another run.
    """
    if run is not None and embedding.run is not run:
        raise StoreError(
            f"the layer {embedding.layer!r} belongs to another run than the layers before it; "
            f"a file holds one run. Write the other run to a file of its own."
        )


Target = TypeVar("Target", AtomicFile, AtomicFolder)


class AtomicSink(ABC, Generic[Target]):
    """A file or folder that is put under its name when the block ends well.

    `target`: opened by the subclass's ``__enter__``.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, path: str | os.PathLike[str], target: Target) -> None:
        self.path = path
        self._file: Target = target

    @abstractmethod
    def _finish(self) -> None:
        """Write what is left to write."""

    @abstractmethod
    def _release(self) -> None:
        """Let go of what was held while the block lasted; after a failure, too."""

    def _written(self) -> None:
        """Say what there is to say once all lies under its name."""

    def _outside(self) -> StoreError:
        """Return what to raise where a layer comes outside of the ``with`` block."""
        name = type(self).__name__
        return StoreError(f"a sink writes inside of its with block: with {name}(path) as sink")

    def _nothing_came(self) -> StoreError:
        return StoreError(f"no layer came, so there is nothing to write to {str(self.path)!r}")

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Put what was written under its name, or on an exception leave what was there."""
        try:
            if exc_type is None:
                with writing(self.path):
                    self._finish()
                self._release()
                self._file.commit()
        finally:
            self._release()
            self._file.discard()  # nothing is left to remove after a commit
        if exc_type is None:
            self._written()


class WholeFileSink(AtomicSink[AtomicFile]):
    """A file that is made in one go from all layers when the block ends.

    The layers are kept as they come, by reference: their arrays exist once.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, AtomicFile(path))
        self._layers: list[LayerEmbedding] | None = None

    @abstractmethod
    def _require(self) -> None:
        """Import what is needed, so that what is missing is said before anything is written."""

    @abstractmethod
    def _put(self, layers: list[LayerEmbedding], stream: BinaryIO) -> None:
        """Write the file."""

    def __enter__(self) -> Self:
        """Make the temporary file.

        Raises
        ------
        PluginError
            If a package that the format needs is not installed.
        StoreError
            If the folder is missing or cannot be written to.
        """
        self._require()
        self._file.open()
        self._layers = []
        return self

    def write(self, embedding: LayerEmbedding, /) -> None:
        """Take a layer.

        Raises
        ------
        StoreError
            Outside of the ``with`` block, or if the layer belongs to another run than the first.
        """
        if self._layers is None:
            raise self._outside()
        require_same_run(embedding, self._layers[0].run if self._layers else None)
        self._layers.append(embedding)

    def _finish(self) -> None:
        if not self._layers:
            raise self._nothing_came()
        self._put(self._layers, self._file.stream)

    def _release(self) -> None:
        self._layers = None
