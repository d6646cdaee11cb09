"""All layers on one page, in depth order, at one scale."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, ClassVar

from layerlens import _options
from layerlens.errors import ArgumentError, PluginError
from layerlens.records import LayerEmbedding
from layerlens.sinks._whole import Layers, WholeFileSink, in_order

__all__ = ["FigureSink", "figure"]

_SUFFIXES = (".png", ".svg", ".pdf")
_FONT = "DejaVu Sans"  # comes with matplotlib: the same picture on every machine


def figure(
    embeddings: Layers,
    *,
    color: str | None = "auto",
    columns: int | None = None,
    title: str | None = None,
    panel: float | None = None,
    scale: str = "shared",
    font: str | Sequence[str] = _FONT,
) -> Any:
    """Draw layers side by side in depth order.

    Every panel has the same limits, so that sizes and places compare from layer to layer. Above
    it stand the layer's name, what it is, its native width (and, behind an arrow, the width of its
    sketch), and what was measured. Points lie over one another in one random order.

    Parameters
    ----------
    embeddings : Embeddings, or iterable of LayerEmbedding
        The layers, of one run.
    color : str or None
        What the points' colours show: ``"label"``, ``"cluster"``, ``"stress"``, the name of one
        of the run's columns, or None for one colour. ``"auto"`` is labels where there are any,
        else clusters. Numbers of floating point get a colour scale, everything else classes.
    columns : int, optional
        Panels in a row; by default, so many that the page is about as wide as a screen.
    title : str, optional
        Heading in place of the one that counts layers and samples.
    panel : float, optional
        Length of a panel's side in inches; by default from 4.6 for one layer down to 1.5.
    scale : {"shared", "layer"}
        Whether all panels have the same limits, or each its own (which the foot then says).
    font : str or sequence of str
        Font families, for names that the default has no characters for: what the first lacks
        is taken from the next.

    Returns
    -------
    matplotlib.figure.Figure
        Not one of pyplot's: nothing global is touched, and nothing need be closed.

    Raises
    ------
    PluginError
        If matplotlib is not installed.
    ArgumentError
        If there are no layers, they come from several runs, or an option is out of what is
        allowed.
    """
    layers = in_order(embeddings, "draw")
    given = {
        "color": color,
        "columns": columns,
        "title": title,
        "panel": panel,
        "scale": scale,
        "font": font,
    }
    _options.check(_CHECKS, given)
    return _drawing().draw(layers, **given)


class FigureSink(WholeFileSink):
    """Draw all layers on one page: PNG, SVG or PDF.

    The same result gives the same bytes. Vector files hold the points as an image where there
    are more than 20,000 of them.

    Parameters
    ----------
    path : str or path-like
        Where the picture goes; its suffix is the format.
    dpi : float
        Pixels to the inch.
    color, columns, title, panel, scale, font
        Those of `layerlens.sinks.figure.figure`.

    Raises
    ------
    ArgumentError
        If the suffix or an option is out of what is allowed.
    """

    suffixes: ClassVar[tuple[str, ...]] = _SUFFIXES

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        dpi: float = 150,
        color: str | None = "auto",
        columns: int | None = None,
        title: str | None = None,
        panel: float | None = None,
        scale: str = "shared",
        font: str | Sequence[str] = _FONT,
    ) -> None:
        suffix = Path(path).suffix.lower()
        if suffix not in _SUFFIXES:
            raise ArgumentError(
                f"a figure's suffix is one of {', '.join(_SUFFIXES)}, got {Path(path).name!r}"
            )
        self.options: dict[str, Any] = {
            "color": color,
            "columns": columns,
            "title": title,
            "panel": panel,
            "scale": scale,
            "font": font,
        }
        _options.check(_CHECKS, {**self.options, "dpi": dpi})
        super().__init__(path)
        self.dpi = dpi
        self._kind = suffix.removeprefix(".")

    def _require(self) -> None:
        _drawing()

    def _put(self, layers: list[LayerEmbedding], stream: BinaryIO) -> None:
        self.render(layers, stream, self._kind, dpi=self.dpi, **self.options)

    figure = staticmethod(figure)

    @staticmethod
    def render(
        embeddings: Layers,
        stream: BinaryIO,
        kind: str = "png",
        *,
        dpi: float = 150,
        **options: Any,
    ) -> None:
        """Draw to an open file.

        Parameters
        ----------
        embeddings : Embeddings, or iterable of LayerEmbedding
            The layers.
        stream : binary file
            Where to.
        kind : {"png", "svg", "pdf"}
            The format.
        dpi : float
            Pixels to the inch.
        **options
            Those of `layerlens.sinks.figure.figure`.
        """
        if f".{kind}" not in _SUFFIXES:
            raise ArgumentError(f"a figure is png, svg or pdf, got {kind!r}")
        _CHECKS["dpi"]("dpi", dpi)
        _drawing().write(figure(embeddings, **options), stream, kind, dpi)


def _families(name: str, value: Any) -> None:
    families = [value] if isinstance(value, str) else value
    if (
        not isinstance(families, Sequence)
        or not families
        or not all(isinstance(family, str) and family for family in families)
    ):
        raise _options.refused(name, "a font family, or a list of them", value)


_CHECKS: dict[str, _options.Check] = {
    "color": _options.text,
    "columns": _options.whole(or_none=True),
    "title": _options.text,
    "panel": _options.number(0.8, 20, what="a length", unit="inches", or_none=True),
    "scale": _options.one_of("shared", "layer"),
    "font": _families,
    "dpi": _options.number(10, 1200),
}


def _drawing() -> ModuleType:
    try:
        # only now: that the suffixes can be listed does not take matplotlib
        from layerlens.sinks import _draw
    except ImportError as error:
        raise PluginError(
            'drawing needs matplotlib: pip install "torch-layerlens[figures]"'
        ) from error
    return _draw
