"""One page that opens anywhere: the layers to look at, to glide through and to search."""

from __future__ import annotations

import html
import io
import os
import warnings
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from layerlens import _options
from layerlens.errors import LayerlensWarning
from layerlens.records import LayerEmbedding
from layerlens.sinks._whole import Layers, WholeFileSink, in_order

__all__ = ["HtmlSink", "frame", "show"]

_LARGE = 40_000_000
"""Bytes of a page above which a sample is offered."""

_FRAME_POINTS = 1_500_000
"""Bytes that the points of a page inside of a notebook's output take at most."""

_FRAME_THUMBNAILS = 700_000
_FRAME_HEIGHT = 720


class HtmlSink(WholeFileSink):
    """Write all layers to one page for a browser, with everything in it.

    The page needs no network and no other file, and asks for none. It holds the points of all
    layers in one frame, in 16 bits a coordinate; labels, columns and identifiers, of which long
    ones are cut after 300 characters; thumbnails, if the run has them; and each point's 8 nearest
    neighbours in the layer itself, for all points up to 10,000 and for 5,000 of more.

    With a column called ``prediction`` or ``predicted``, and labels, the page knows which
    samples the model gets wrong, and draws them on top.

    The same result gives the same bytes, given the same Pillow, which thumbnails are written
    with (as WebP; without Pillow as PNG, and smaller, to take no more room).

    Parameters
    ----------
    path : str or path-like
        Where the page goes.
    title : str, optional
        Its heading; by default it counts layers and samples.
    max_points : int, optional
        Most samples. Of more, so many are drawn at random, from each class in proportion, and
        the page says so. All by default; above 40 MB there is a warning.
    neighbors : bool
        Whether neighbours are in the page: 21 bytes a point and layer, where its place takes 5.
    thumbnail_mb : float
        Megabytes that thumbnails take at most. To keep to it they are made smaller (32 pixels,
        24, 16), then only some samples have one.
    seed : int
        Of the order in which points are drawn, so that no class lies on top, and of samples.

    Raises
    ------
    ArgumentError
        If an option is out of what is allowed.

    Examples
    --------
    >>> emb.save("lenet.html")                                         # doctest: +SKIP
    >>> emb.save("large.html", max_points=50_000)                      # doctest: +SKIP
    """

    suffixes: ClassVar[tuple[str, ...]] = (".html", ".htm")

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        title: str | None = None,
        max_points: int | None = None,
        neighbors: bool = True,
        thumbnail_mb: float = 6.0,
        seed: int = 0,
    ) -> None:
        self.options: dict[str, Any] = {
            "title": title,
            "max_points": max_points,
            "neighbors": neighbors,
            "seed": seed,
        }
        _options.check(_CHECKS, {**self.options, "thumbnail_mb": thumbnail_mb})
        self.options["thumbnail_bytes"] = round(thumbnail_mb * 1e6)
        super().__init__(path)
        self._large: tuple[list[LayerEmbedding], int] | None = None

    def _require(self) -> None:
        self._large = None

    def _put(self, layers: list[LayerEmbedding], stream: BinaryIO) -> None:
        from layerlens.sinks._document import write_document
        from layerlens.sinks._page import pack

        write_document(pack(layers, **self.options), stream)
        size = stream.tell()
        if size > _LARGE:
            self._large = layers, size

    def _written(self) -> None:
        if self._large is None:
            return
        layers, size = self._large
        self._large = None
        n = min(layers[0].run.n_samples, self.options["max_points"] or layers[0].run.n_samples)
        fitting = _rounded_down(n * _LARGE / size)
        warnings.warn(
            f"{Path(self.path).name} has {size / 1e6:.0f} MB, {n:,} points in {len(layers)} "
            f"layers, and browsers take seconds to open it. max_points={fitting} writes a page of "
            f"about {_LARGE / 1e6:.0f} MB with a sample of them, from each class in proportion, "
            f"and the page says so.",
            LayerlensWarning,
            stacklevel=3,
        )

    @staticmethod
    def made(path: str | os.PathLike[str]) -> bool:
        """Return whether a file is a page that this sink wrote."""
        from layerlens.sinks._document import MARK

        try:
            with Path(path).open("rb") as stream:
                return MARK.encode() in stream.read(4096)
        except OSError:
            return False

    @staticmethod
    def frame(embeddings: Layers, *, height: int = _FRAME_HEIGHT, **options: Any) -> str:
        """Return the page inside of an ``iframe``: see `frame`."""
        return frame(embeddings, height=height, **options)

    @staticmethod
    def show(embeddings: Layers, **options: Any) -> Any:
        """Return what shows the layers in a notebook: see `show`."""
        return show(embeddings, **options)


def frame(
    embeddings: Layers,
    *,
    height: int = _FRAME_HEIGHT,
    max_points: int | None = None,
    thumbnail_mb: float = _FRAME_THUMBNAILS / 1e6,
    neighbors: bool = True,
    **options: Any,
) -> str:
    """Return the page as an ``<iframe srcdoc>``, which lives on when a notebook is exported.

    It has no rights over the page around it: it may run its own script and offer downloads.
    Since it is kept in the notebook at every execution, its points take 1.5 MB at most unless
    `max_points` says otherwise: of more, a sample is shown, and the page says so.

    Parameters
    ----------
    embeddings : Embeddings, or iterable of LayerEmbedding
        The layers, of one run.
    height : int
        Height in pixels.
    max_points, thumbnail_mb, neighbors, **options
        Those of `HtmlSink`.
    """
    from layerlens.sinks._document import write_document
    from layerlens.sinks._page import pack

    layers = in_order(embeddings, "show")
    given = {
        "height": height,
        "max_points": max_points,
        "thumbnail_mb": thumbnail_mb,
        "neighbors": neighbors,
    }
    _options.check(_CHECKS, {**given, **options})
    if max_points is None:
        max_points = _most_points(layers, neighbors)
    stream = io.BytesIO()
    page = pack(
        layers,
        max_points=max_points,
        neighbors=neighbors,
        thumbnail_bytes=round(thumbnail_mb * 1e6),
        **options,
    )
    write_document(page, stream)
    return (
        f'<iframe title="{html.escape(page.head["title"])}" '
        'sandbox="allow-scripts allow-downloads" loading="lazy" '
        f'style="width:100%;height:{int(height)}px;border:0" '
        f'srcdoc="{html.escape(stream.getvalue().decode("utf-8"))}"></iframe>'
    )


def show(embeddings: Layers, **options: Any) -> Any:
    """Return a widget of the page, or without anywidget the page in an ``iframe``.

    Parameters
    ----------
    embeddings : Embeddings, or iterable of LayerEmbedding
        The layers, of one run.
    **options
        Those of `HtmlSink`, and ``height`` in pixels.
    """
    layers = in_order(embeddings, "show")
    try:
        import anywidget  # noqa: F401
    except ImportError:
        warnings.warn(
            "anywidget is not installed, so the view is a page that Python does not hear from: "
            'pip install "torch-layerlens[notebook]" brings selection, layer and hover to Python.',
            LayerlensWarning,
            stacklevel=4,
        )
        return _Frame(frame(layers, **options))
    from layerlens.sinks._page import pack
    from layerlens.viewer.widget import LayersView

    _options.check(_CHECKS, options)
    height = options.pop("height", _FRAME_HEIGHT)
    thumbnail_mb = options.pop("thumbnail_mb", 6.0)
    page = pack(layers, thumbnail_bytes=round(thumbnail_mb * 1e6), **options)
    return LayersView(
        page.head,
        page.sections,
        samples=page.samples,
        ids=np.asarray(layers[0].run.ids),
        layers=[layer.layer for layer in layers],
        height=height,
    )


class _Frame:
    """Shows itself as HTML."""

    def __init__(self, text: str) -> None:
        self._text = text

    def _repr_html_(self) -> str:
        return self._text


def _most_points(layers: list[LayerEmbedding], neighbors: bool) -> int | None:
    """Return how many points take the room that a notebook's output has, None for all."""
    with_neighbors = neighbors and any(layer.neighbors is not None for layer in layers)
    each = len(layers) * (5.4 + 21.4 * with_neighbors + 2.7) + 20
    most = int(_FRAME_POINTS / each)
    return None if layers[0].run.n_samples <= most else max(_rounded_down(most), 1)


def _rounded_down(count: float) -> int:
    """Return the number with two digits that are not zero."""
    digits = max(len(str(int(count))) - 2, 0)
    unit: int = 10**digits
    return max(int(count) // unit * unit, 1)


_CHECKS: dict[str, _options.Check] = {
    "title": _options.text,
    "max_points": _options.whole(or_none=True),
    "neighbors": _options.flag,
    "thumbnail_mb": _options.number(0, 200),
    "seed": _options.whole(0),
    "height": _options.whole(),
}
