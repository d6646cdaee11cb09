"""A page in inches, from its upper left corner, on which tiles, lines of text and boxes lie."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from layerlens import _options
from layerlens._pixels import as_image, number
from layerlens.errors import ArgumentError
from layerlens.sinks._atomic import AtomicFile
from layerlens.sinks._text import Ruler, printable

__all__ = [
    "DIVERGING", "FAINT", "GREY", "INK", "MARK", "SEQUENTIAL", "Canvas", "Picture", "as_image",
    "number", "over", "style",
]  # fmt: skip

Array = npt.NDArray[Any]

INK = "#1c1c1e"
GREY = "#6b6b70"
FAINT = "#d5d5da"
MARK = "#00a878"
"""Of boxes: a green that is far from both ends of the maps and from most photographs."""

# ColorBrewer's RdBu, whose middle is white. Rectified maps take its upper half, so that white is
# zero on every tile of a page and red means the same in all of them.
DIVERGING: Colormap = mpl.colormaps["RdBu_r"]
SEQUENTIAL: Colormap = LinearSegmentedColormap.from_list(
    "RdBu_r upper half", DIVERGING(np.linspace(0.5, 1, 256))
)

_SUFFIXES = (".png", ".svg", ".pdf")


def style() -> AbstractContextManager[None]:
    """Return a context in which the user's own settings do not change the picture."""
    return mpl.rc_context(
        {
            "svg.hashsalt": "layerlens",
            "svg.fonttype": "path",
            "pdf.fonttype": 42,
            "text.usetex": False,
            "path.effects": [],
            "path.sketch": None,
            "savefig.bbox": None,
            "savefig.facecolor": "auto",
            "savefig.transparent": False,
        }
    )


class Canvas:
    """A page."""

    def __init__(self, width: float, height: float) -> None:
        self.width = width
        self.height = height
        self.figure = Figure(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(self.figure)
        self.ruler = Ruler()
        self._axes: Any = self.figure.add_axes((0, 0, 1, 1))
        self._axes.set_xlim(0, width)
        self._axes.set_ylim(height, 0)
        self._axes.set_autoscale_on(False)
        self._axes.axis("off")

    def image(
        self,
        values: Array,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        cmap: Colormap | str | None = None,
        limits: tuple[float, float] = (0, 1),
        frame: bool = True,
    ) -> None:
        """Draw an array, (rows, columns) in colours of `cmap` or (rows, columns, 3) as it is."""
        self._axes.imshow(
            values,
            extent=(x, x + width, y + height, y),
            interpolation="nearest",
            interpolation_stage="data",
            aspect="auto",
            cmap=cmap,
            norm=None if values.ndim == 3 else Normalize(*limits),
        )
        if frame:
            self.box(x, y, width, height, color=FAINT, line=0.5)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        color: str = MARK,
        line: float = 1.0,
        fill: str | None = None,
        hatch: str | None = None,
        dashed: bool = False,
    ) -> None:
        """Draw a rectangle."""
        self._axes.add_patch(
            Rectangle(
                (x, y), width, height, facecolor=fill or "none", edgecolor=color, linewidth=line,
                hatch=hatch, linestyle=(0, (3, 2)) if dashed else "solid",
            )
        )  # fmt: skip

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        *,
        color: str = INK,
        align: str = "left",
        bold: bool = False,
        room: float | None = None,
        turn: float = 0.0,
    ) -> None:
        """Write a line whose baseline is at `y`, turned by so many degrees, cut to `room`."""
        text = printable(text)
        weight = "bold" if bold else "normal"
        if room is not None:
            text = self.ruler.shorten(text, room, size, weight)
        self._axes.text(
            x, y, text, color=color, ha=align, va="baseline", parse_math=False, rotation=turn,
            rotation_mode="anchor", fontproperties=self.ruler.font(size, weight),
        )  # fmt: skip

    def paragraph(self, x: float, y: float, text: str, size: float, room: float) -> float:
        """Write grey lines and return where the next would be."""
        for line in self.ruler.wrap(printable(text), room, size):
            self.text(x, y, line, size, color=GREY)
            y += size * 1.45 / 72
        return y


class Picture:
    """A way to draw results of one kind.

    `draw`: ``draw(result, **options)`` returns a matplotlib Figure.
    `pages`: ``pages(result, **options)`` returns several, for formats that hold them.
    """

    def __init__(
        self,
        draw: Callable[..., Figure],
        pages: Callable[..., Sequence[Figure]] | None = None,
        *,
        checks: Mapping[str, _options.Check],
    ) -> None:
        self._draw = draw
        self._pages = pages
        self._checks = {"dpi": _options.number(10, 1200), **checks}
        self.__doc__ = draw.__doc__

    def __call__(self, of: Any, /, **options: Any) -> Figure:
        """Return the figure."""
        _options.check(self._checks, options)
        with style():
            return self._draw(of, **options)

    def png(self, of: Any, *, dpi: float = 110, **options: Any) -> bytes:
        """Return the picture as the bytes of a PNG file."""
        _options.check(self._checks, {"dpi": dpi, **options})
        stream = BytesIO()
        with style():
            self._draw(of, **options).savefig(stream, format="png", dpi=dpi, metadata=_PNG)
        return stream.getvalue()

    def save(
        self, of: Any, path: str | os.PathLike[str], *, dpi: float = 150, **options: Any
    ) -> None:
        """Write the picture to a file whose suffix is its format.

        Raises
        ------
        ArgumentError
            If the suffix is another one, or an option is out of what is allowed.
        StoreError
            If the file cannot be written.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in _SUFFIXES:
            raise ArgumentError(
                f"a picture's suffix is one of {', '.join(_SUFFIXES)}, got {Path(path).name!r}"
            )
        _options.check(self._checks, {"dpi": dpi, **options})
        file = AtomicFile(path)
        stream = file.open()
        try:
            with style():
                if suffix == ".pdf":
                    figures = self._pages or (lambda of, **more: [self._draw(of, **more)])
                    with PdfPages(stream, metadata={"CreationDate": None}) as pages:
                        for figure in figures(of, **options):
                            pages.savefig(figure, dpi=dpi)
                else:
                    more = _PNG if suffix == ".png" else {"Date": None}
                    figure = self._draw(of, **options)
                    figure.savefig(stream, format=suffix[1:], dpi=dpi, metadata=more)
        except BaseException:
            file.discard()
            raise
        file.commit()


_PNG = {"Software": None}


def over(image: Array, values: Array, most: float, cmap: Colormap, signed: bool) -> Array:
    """Return a map laid over the grey picture of its input, stretched to it.

    `image`: (H, W, 3). The input.
    `values`: (h, w). The map.
    `signed`: whether it goes from ``-most``, or from 0.
    """
    height, width = image.shape[:2]
    rows = np.arange(height) * values.shape[0] // height
    columns = np.arange(width) * values.shape[1] // width
    stretched = np.nan_to_num(values[rows][:, columns].astype(np.float32)) / (most or 1.0)
    colors = cmap((stretched + 1) / 2 if signed else stretched)[..., :3]
    strength = np.clip(np.abs(stretched), 0, 1)[..., None] ** 0.6 * 0.85
    grey = 0.35 + 0.65 * image.mean(-1, keepdims=True)
    blended: Array = grey * (1 - strength) + colors * strength
    return blended
