"""Sinks whose format is written in one go, once all layers are there."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from types import TracebackType
from typing import BinaryIO, ClassVar, Self

from layerlens.errors import StoreError
from layerlens.records import LayerEmbedding, RunInfo
from layerlens.sinks._atomic import AtomicFile

__all__ = ["WholeFileSink", "require_same_run"]


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


class WholeFileSink(ABC):
    """A file that is made from all layers when the block ends.

    The layers are kept as they come, by reference: their arrays exist once.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self._file = AtomicFile(path)
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
            name = type(self).__name__
            raise StoreError(f"a sink writes inside of its with block: with {name}(path) as sink")
        require_same_run(embedding, self._layers[0].run if self._layers else None)
        self._layers.append(embedding)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Write the file and put it under its name, or on an exception leave what was there."""
        layers, self._layers = self._layers, None
        if exc_type is not None or layers is None:
            self._file.discard()
            return
        try:
            if not layers:
                raise StoreError(
                    f"no layer came, so there is nothing to write to {str(self.path)!r}"
                )
            self._put(layers, self._file.stream)
        except OSError as error:
            self._file.discard()
            if isinstance(error, StoreError):
                raise
            why = error.strerror or error
            raise StoreError(f"cannot write {str(self.path)!r}: {why}") from error
        except BaseException:
            self._file.discard()
            raise
        self._file.commit()
