"""The result: every layer's picture, in depth order, and the ways out of it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np
import numpy.typing as npt

from layerlens._display import Html, folded, picture_of, some, table
from layerlens.embedding.saving import write_all, write_one
from layerlens.embedding.table import label_names, layer_table
from layerlens.errors import ArgumentError, PluginError
from layerlens.plugins.registry import SINKS
from layerlens.records import MAIN_METRICS, LayerEmbedding, RunInfo

if TYPE_CHECKING:
    import torch

__all__ = ["Embeddings", "sink_for"]

Array = npt.NDArray[Any]


class Embeddings(Mapping[str, LayerEmbedding]):
    """Every layer's picture by the layer's name, in depth order. Read-only.

    Parameters
    ----------
    layers : iterable of LayerEmbedding
        The layers, in any order; they are put in the order of their ``index``. They share one
        `RunInfo`.

    Raises
    ------
    ArgumentError
        If there is no layer, two have one name, or they come from more than one run.

    Examples
    --------
    >>> import numpy as np
    >>> import layerlens as ll
    >>> run = ll.RunInfo(layers={"conv": ll.LayerInfo("conv")}, ids=np.arange(3))
    >>> coordinates = np.zeros((3, 2), dtype=np.float32)
    >>> ll.Embeddings([ll.LayerEmbedding("conv", 0, coordinates, run, reducer="pca")])
    Embeddings: 1 layer x 3 samples, pca
      conv  array  3 x 2
    """

    def __init__(self, layers: Iterable[LayerEmbedding]) -> None:
        ordered = sorted(layers, key=lambda layer: layer.index)
        if not ordered:
            raise ArgumentError("Embeddings needs at least one LayerEmbedding, got none")
        self._layers: dict[str, LayerEmbedding] = {}
        for layer in ordered:
            if layer.layer in self._layers:
                raise ArgumentError(
                    f"two LayerEmbeddings are called {layer.layer!r}; each layer comes once"
                )
            if layer.run is not ordered[0].run:
                raise ArgumentError(
                    f"{layer.layer!r} and {ordered[0].layer!r} come from two runs: their `run` "
                    f"must be one and the same RunInfo. Make one Embeddings for each run."
                )
            self._layers[layer.layer] = layer

    def __getitem__(self, layer: str) -> LayerEmbedding:
        try:
            return self._layers[layer]
        except KeyError:
            raise KeyError(
                f"there is no layer {layer!r}; there are: {', '.join(map(repr, self._layers))}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __contains__(self, layer: object) -> bool:
        return layer in self._layers

    # one result is another only if it is the same object: arrays have no truth to compare by
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def run(self) -> RunInfo:
        """What all layers share."""
        return next(iter(self._layers.values())).run

    @property
    def labels(self) -> Array | None:
        """Classes of the samples, of shape (n_samples,), or None."""
        return self.run.labels

    @property
    def ids(self) -> Array:
        """Identifiers of the samples, of shape (n_samples,)."""
        return self.run.ids

    @property
    def thumbnails(self) -> Array | None:
        """Small pictures of the inputs, of shape (n_samples, height, width, 1 or 3), or None."""
        return self.run.thumbnails

    def torch(self, layer: str) -> torch.Tensor:
        """Return a layer's coordinates as a tensor of its own memory, on the CPU.

        Parameters
        ----------
        layer : str
            Name of the layer.

        Returns
        -------
        torch.Tensor of shape (n_rows, n_components), float32
        """
        import torch

        return torch.from_numpy(np.array(self[layer].coordinates, dtype=np.float32))

    def to_frame(self) -> Any:
        """Return all layers as one long pandas.DataFrame, one row a sample and layer.

        Its columns are ``layer``, ``index``, ``id``, ``label``, ``label_name``, the coordinates
        (``x``, ``y``, ``z``; ``c0``, … beyond three), ``cluster``, ``stress``, ``spread``, and the
        run's own. Those that no layer has are left out; where only some layers have one, the
        others' rows are missing values there.

        Raises
        ------
        PluginError
            If pandas is not installed.
        """
        pandas = _pandas()
        names = label_names(self.run)
        tables = [layer_table(layer, names) for layer in self._layers.values()]
        columns = dict.fromkeys(name for table in tables for name in table)
        present = {n for table in tables for n, values in table.items() if values is not None}
        frames = [
            pandas.DataFrame({n: v for n, v in table.items() if v is not None}) for table in tables
        ]
        frame = pandas.concat(frames, ignore_index=True)
        return frame[[name for name in columns if name in present]]

    def metrics_frame(self) -> Any:
        """Return what is known of each layer as a pandas.DataFrame, one row a layer.

        The layers' names are its index; ``index``, ``module_type``, ``dim`` (native width),
        ``width`` (kept width) and ``n_rows`` come first, then each metric, NaN where a layer
        does not have it.

        Raises
        ------
        PluginError
            If pandas is not installed.
        """
        pandas = _pandas()
        rows = [
            {
                "index": layer.index,
                "module_type": layer.info.module_type,
                "dim": layer.info.dim,
                "width": layer.info.width,
                "n_rows": len(layer.coordinates),
                **layer.metrics,
            }
            for layer in self._layers.values()
        ]
        return pandas.DataFrame(rows, index=pandas.Index(list(self), name="layer"))

    def plot(self, **options: Any) -> Any:
        """Draw all layers side by side and return the matplotlib Figure.

        Parameters
        ----------
        **options
            Those of the sink ``figure``: ``color``, ``columns``, ``title`` and so on.

        Raises
        ------
        PluginError
            If matplotlib is not installed.
        """
        return SINKS.factory("figure").figure(self, **options)  # type: ignore[attr-defined]

    def show(self, **options: Any) -> Any:
        """Return a view of all layers for a notebook, which Python hears from and speaks to.

        As the last line of a cell it is shown. Its traits ``selection`` (numbers of samples),
        ``layer`` (a name), ``hover`` and ``pick`` (the number of a sample, -1 for none) follow
        what is done in the view, can be set, and can be observed.

        Parameters
        ----------
        **options
            Those of the sink ``html``, and ``height`` in pixels.

        Returns
        -------
        layerlens.viewer.widget.LayersView
            Without anywidget there is a warning, and what is returned shows the same page, but
            has no traits.

        Examples
        --------
        >>> view = embeddings.show()                                   # doctest: +SKIP
        >>> view                                                       # doctest: +SKIP
        >>> embeddings.labels[view.selection]                          # doctest: +SKIP
        """
        return SINKS.factory("html").show(self, **options)  # type: ignore[attr-defined]

    @overload
    def save(
        self,
        path: str | os.PathLike[str],
        sink: str | Callable[..., Any] | None = None,
        **options: Any,
    ) -> Path: ...
    @overload
    def save(self, path: Iterable[Any]) -> list[Path]: ...
    def save(
        self,
        path: str | os.PathLike[str] | Iterable[Any],
        sink: str | Callable[..., Any] | None = None,
        **options: Any,
    ) -> Path | list[Path]:
        """Write the result to a file, or to several with all their sinks open at once.

        Parameters
        ----------
        path : str or path-like, or iterable of these and of sinks
            Where to. Nothing lies there before the file is whole, and a failure leaves what was
            there. Of several, one that fails leaves the others alone: they are finished before
            the error is raised. A sink with options is made beforehand,
            ``layerlens.sinks.get("figure", "layers.png", dpi=300)``.
        sink : str, class or other callable, optional
            What writes it; by default the sink that the path's suffix stands for. For one path.
        **options
            Those of the sink. For one path.

        Returns
        -------
        pathlib.Path or list of pathlib.Path
            The path, or the paths in the order in which they were given.

        Raises
        ------
        ArgumentError
            If several are given and none is there, two have one path, one is neither path nor
            sink, or `sink` or options are given beside them.
        PluginError
            If no sink has the suffix, or the sink cannot be loaded.
        StoreError
            If the file cannot be written; of several, naming each sink that failed.
        TypeError
            If the sink does not have such an option.
        Exception
            Whatever else a sink fails with, also where its ``__exit__`` would swallow it.

        Examples
        --------
        >>> emb.save("lenet.npz")                                      # doctest: +SKIP
        >>> emb.save(["lenet.npz", "lenet.png", "lenet.parquet"])      # doctest: +SKIP
        """
        layers = list(self._layers.values())
        if not isinstance(path, str | os.PathLike):
            if sink is not None or options:
                given = ", ".join([*(["sink"] if sink is not None else []), *options])
                raise ArgumentError(
                    f"{given} cannot be shared by several files: put a sink that is made already "
                    f'into the list, layerlens.sinks.get("figure", "layers.png", dpi=300) say'
                )
            return write_all(layers, path, sink_for)
        path = Path(path)
        if sink is None:
            factory = sink_for(path)
        else:
            factory = SINKS.factory(sink) if isinstance(sink, str) else sink
        write_one(layers, path, factory, options)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a result that was saved, from ``.npz`` say. Nothing is unpickled.

        Parameters
        ----------
        path : str or path-like
            The file. Its suffix chooses the sink that reads it.

        Raises
        ------
        PluginError
            If no sink reads files of that suffix.
        StoreError
            If the file is missing, broken, not layerlens's, or from a newer layerlens.
        """
        factory = sink_for(Path(path), ability="read")
        return cls(factory.read(path))  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        layers = list(self._layers.values())
        head = f"Embeddings: {_count(len(layers), 'layer')} x {_count(len(self.ids), 'sample')}"
        reducers = ", ".join(dict.fromkeys(x.reducer for x in layers if x.reducer))
        lines = [f"{head}, {reducers}" if reducers else head]
        rows = [_row(layer) for layer in layers]
        if len(rows) > _REPR_ROWS:
            dropped = len(rows) - _REPR_ROWS
            rows[_REPR_ROWS // 2 : -_REPR_ROWS // 2] = [[f"… {dropped} more …"]]
        widths = [max(len(r[i]) for r in rows if len(r) > i) for i in range(max(map(len, rows)))]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            lines.append(f"  {'  '.join(cells)}".rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        layers = list(self._layers.values())
        there = dict.fromkeys(name for x in layers for name in x.metrics)
        metrics = [*(m for m in MAIN_METRICS if m in there)]
        metrics += [m for m in there if m not in metrics]
        clustered = any(layer.clusters is not None for layer in layers)
        noted = any(layer.notes for layer in layers)
        head = ["layer", "type", "width", "rows", *(["clusters"] if clustered else []), *metrics]
        rows: list[list[str] | None] = []
        for place in some(len(layers)):
            if place is None:
                rows.append(None)
                continue
            layer = layers[place]
            clusters = layer.clusters
            rows.append(
                [
                    layer.info.title,
                    layer.info.module_type,
                    _width(layer),
                    f"{len(layer.coordinates):,}",
                    *([f"{len(np.unique(clusters))}" if clusters is not None else ""] * clustered),
                    *(f"{layer.metrics[m]:.3g}" if m in layer.metrics else "" for m in metrics),
                    *(["; ".join(layer.notes)] * noted),
                ]
            )
        title = repr(self).splitlines()[0]
        numbers = range(2, len(head))
        below = table([*head, *(["notes"] * noted)], rows, numbers=numbers)
        try:
            picture = picture_of(self._few()._png(dpi=80), title)
        except PluginError:  # no matplotlib: the table alone
            picture = Html()
        page = SINKS.factory("html").frame(self)  # type: ignore[attr-defined]
        # where frames are not shown, on GitHub say, the table and the picture are there
        return f"{page}{folded(title, below + picture)}"

    def _few(self) -> Embeddings:
        """Return as many layers as one picture shows at a glance, at even steps."""
        layers = list(self._layers.values())
        places = np.linspace(0, len(layers) - 1, min(len(layers), _PICTURED)).round().astype(int)
        return Embeddings(layers[place] for place in places.tolist())

    def _png(self, **options: Any) -> bytes:
        stream = io.BytesIO()
        SINKS.factory("figure").render(  # type: ignore[attr-defined]
            self, stream, "png", **options
        )
        return stream.getvalue()


_REPR_ROWS = 24
_PICTURED = 12


def sink_for(path: Path, ability: str | None = None) -> Callable[..., Any]:
    """Return the sink that a file's suffix stands for, and that has the ability.

    Raises
    ------
    PluginError
        If there is none; the message lists the suffixes that there are.
    """
    suffix = path.suffix.lower()

    def fits(factory: Callable[..., Any]) -> bool:
        return suffix in _suffixes(factory) and (ability is None or hasattr(factory, ability))

    own = suffix.removeprefix(".")
    if own in SINKS.available():
        # nothing else need be loaded, and if this one is broken its error is the one to see
        factory = SINKS.factory(own)
        if fits(factory):
            return factory
    suffixes: set[str] = set()
    for _, factory in SINKS.loadable():
        if fits(factory):
            return factory
        if ability is None or hasattr(factory, ability):
            suffixes.update(_suffixes(factory))
    came = f"ends in {path.suffix!r}" if suffix else "has no suffix"
    remedy = "." if ability else ', or name the sink: sink="npz".'
    raise PluginError(
        f"{path.name!r} {came}, which no installed sink {ability or 'write'}s. "
        f"Use one of {', '.join(sorted(suffixes))}{remedy}"
    )


def _suffixes(factory: Callable[..., Any]) -> tuple[str, ...]:
    """Return the file endings of a sink; of one that breaks the contract, as far as they go."""
    suffixes = getattr(factory, "suffixes", ())
    if isinstance(suffixes, str):
        return (suffixes,)
    if not isinstance(suffixes, tuple | list | set | frozenset):
        return ()
    return tuple(suffix for suffix in suffixes if isinstance(suffix, str))


def _pandas() -> Any:
    try:
        import pandas as pd
    except ImportError as error:
        raise PluginError('a frame needs pandas: pip install "torch-layerlens[frames]"') from error
    return pd


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def _width(layer: LayerEmbedding) -> str:
    info = layer.info
    if not info.dim:
        return ""
    return f"{info.dim:,} -> {info.width:,}" if info.sketched else f"{info.dim:,}"


def _row(layer: LayerEmbedding) -> list[str]:
    n_rows, n_components = layer.coordinates.shape
    shape = f"{n_rows} x {n_components}"
    if layer.info.dim:
        shape = f"{_width(layer)} -> {n_components}"
        if layer.rows is not None:
            shape += f", {n_rows} of the samples"
    if layer.clusters is not None:
        shape += f", {len(np.unique(layer.clusters))} clusters"
    main = [name for name in MAIN_METRICS if name in layer.metrics] or list(layer.metrics)[:4]
    metrics = "  ".join(f"{name} {layer.metrics[name]:.3f}" for name in main)
    return [layer.info.title, layer.info.module_type, shape, metrics]
