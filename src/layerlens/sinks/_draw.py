"""The grid of panels: measured first, then placed in inches, so that nothing overlaps."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.patheffects import withStroke
from matplotlib.transforms import IdentityTransform

from layerlens.records import LayerEmbedding
from layerlens.sinks._captions import Caption, captions, footer, heading
from layerlens.sinks._coloring import UNKNOWN_STYLE, ClassStyle, Coloring, coloring
from layerlens.sinks._panels import Frame, Placed, place, places_for_names
from layerlens.sinks._text import Ruler, printable

__all__ = ["draw", "write"]

_INK = "#1c1c1e"
_GREY = "#6b6b70"
_FAINT = "#a8a8ad"
_BORDER = "#dcdce0"
_COLORMAP = "viridis"  # van der Walt and Smith 2015: even steps, also for colour-blind people
_MANY_POINTS = 20_000  # beyond, vector files hold the points as an image
_MOST_ENTRIES = 60  # of the legend

_EDGE = 0.28  # inches, all of these
_GAP = 0.16
_LEGEND_LINE = 0.19
_MARK = 0.16


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Inches and points that follow from the size of a panel."""

    panel: float
    name: float
    small: float

    @classmethod
    def of(cls, panel: float) -> _Sizes:
        return cls(panel, name=min(9.5, 4.6 + 1.9 * panel), small=min(7.5, 4.1 + 1.25 * panel))

    def caption(self, n_small: int) -> float:
        """Return the height of a name and so many small lines above a panel."""
        return (self.name * 1.45 + n_small * self.small * 1.4) / 72 + 0.05


def draw(
    layers: Sequence[LayerEmbedding],
    *,
    color: str | None,
    columns: int | None,
    title: str | None,
    panel: float | None,
    scale: str,
    font: str | Sequence[str],
) -> Figure:
    """Draw the layers side by side; see `layerlens.sinks.figure.figure`."""
    with _style(), _no_glyph_warnings():
        ruler = Ruler(font)
        colors = coloring(layers, color)
        panel = panel or _panel_size(len(layers))
        sizes = _Sizes.of(panel)
        marks, foot = footer(layers, colors, scale)
        above_panels = captions(layers, marks)
        caption_height = sizes.caption(
            any(c.facts for c in above_panels) + any(c.metrics for c in above_panels)
        )
        n_columns = min(columns or _columns(len(layers), panel, caption_height), len(layers))
        n_rows = math.ceil(len(layers) / n_columns)
        # one panel alone is still wide enough for a heading
        width = max(n_columns * panel + (n_columns - 1) * _GAP, 3.2) + 2 * _EDGE
        room = width - 2 * _EDGE
        head = heading(layers, title)
        foot_lines = [part for line in foot for part in ruler.wrap(line, room, 7)]
        entries = _legend_layout(colors, ruler, room)
        legend_height = (entries[-1].line + 1) * _LEGEND_LINE + 0.06 if entries else 0.0
        if colors.kind == "values":
            legend_height = 0.36
        head_lines = ruler.wrap(head, room, 12)
        head_height = 0.24 * len(head_lines) + 0.06
        row_height = caption_height + panel + _GAP
        foot_height = 0.14 * len(foot_lines) + 0.04 if foot_lines else 0.0
        height = (
            _EDGE + head_height + legend_height + n_rows * row_height + foot_height + _EDGE - 0.1
        )

        figure = Figure(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(figure)
        page = _Page(figure, width, height, ruler)
        top = _EDGE
        for i, line in enumerate(head_lines):
            page.text(_EDGE, top + 0.17 + 0.24 * i, line, 12, weight="bold")
        top += head_height
        if colors.kind == "values":
            _colorbar(page, colors, top)
        else:
            _legend(page, entries, top)
        top += legend_height
        placed, frames = place(layers, colors, scale)
        size = _point_size(panel, max(len(p.xy) for p in placed))
        heavy = sum(len(p.xy) for p in placed) > _MANY_POINTS
        for i, caption in enumerate(above_panels):
            row, column = divmod(i, n_columns)
            left = _EDGE + column * (panel + _GAP)
            above = top + row * row_height
            _caption(page, caption, left, above, sizes)
            axes = page.axes(left, above + caption_height, panel, panel)
            _points(axes, placed[i], frames[i], colors, colors.per_layer[i], size, heavy)
            axes.set_label(layers[i].layer)
            if panel >= 1.9 and _named_in_place(colors):
                _names(page, axes, placed[i], frames[i], colors, colors.per_layer[i])
        for i, line in enumerate(foot_lines):
            page.text(_EDGE, top + n_rows * row_height + 0.1 + 0.14 * i, line, 7, color=_GREY)
    return figure


def write(figure: Figure, stream: BinaryIO, kind: str, dpi: float) -> None:
    """Write a figure; the same figure gives the same bytes.

    `kind`: {"png", "svg", "pdf"}. The format.
    `dpi`: pixels to the inch, also of what vector formats hold as an image.
    """
    undated: dict[str, dict[str, None]] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    with _style(), _no_glyph_warnings():
        figure.savefig(stream, format=kind, dpi=dpi, metadata=undated[kind])


class _Page:
    """A figure on which things are placed in inches from its upper left corner."""

    def __init__(self, figure: Figure, width: float, height: float, ruler: Ruler) -> None:
        self.figure = figure
        self.width = width
        self.height = height
        self.ruler = ruler

    def text(
        self,
        x: float,
        baseline: float,
        text: str,
        size: float,
        *,
        color: str = _INK,
        weight: str = "normal",
        align: str = "left",
    ) -> None:
        self.figure.text(
            x / self.width,
            1 - baseline / self.height,
            text,
            fontproperties=self.ruler.font(size, weight),
            color=color,
            ha=align,
            va="baseline",
            parse_math=False,  # a layer may be called $x$
        )

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        axes = self.figure.add_axes(
            (
                left / self.width,
                1 - (top + height) / self.height,
                width / self.width,
                height / self.height,
            )
        )
        axes.set(xticks=[], yticks=[], facecolor="white")
        for spine in axes.spines.values():
            spine.set(color=_BORDER, linewidth=0.7)
        return axes

    def mark(self, x: float, y: float, style: ClassStyle) -> None:
        self.figure.add_artist(
            Line2D(
                [x / self.width],
                [1 - y / self.height],
                linestyle="none",
                marker=style.marker,
                color=style.color,
                markersize=6.5,
                markeredgewidth=0,
                transform=self.figure.transFigure,
            )
        )


def _panel_size(n_layers: int) -> float:
    sizes = ((1, 4.6), (2, 3.6), (4, 3.0), (6, 2.6), (12, 2.25), (24, 1.85), (40, 1.65))
    return next((size for most, size in sizes if n_layers <= most), 1.5)


def _columns(n_layers: int, panel: float, caption: float) -> int:
    """Choose how many panels stand in a row: about as wide as a screen, few places empty."""

    def cost(columns: int) -> float:
        rows = math.ceil(n_layers / columns)
        aspect = columns * (panel + _GAP) / (rows * (panel + caption + _GAP))
        empty = (columns * rows - n_layers) / n_layers
        return abs(math.log(aspect / 2)) + 1.2 * empty

    return min(range(1, min(n_layers, 12) + 1), key=cost)


def _point_size(panel: float, n_points: int) -> float:
    """Return the area of a point, in square points: together they cover a seventh of the panel."""
    return min(max(0.14 * (panel * 72) ** 2 / n_points, 0.35), 22.0)


def _points(
    axes: Axes,
    placed: Placed,
    frame: Frame,
    colors: Coloring,
    codes: Any,
    size: float,
    heavy: bool,
) -> None:
    axes.set_xlim(*frame.x)
    axes.set_ylim(*frame.y)
    if frame.box is not None:
        box = LineCollection(list(frame.box), colors=_BORDER, linewidths=0.6, zorder=1)
        axes.add_collection(box, autolim=False)
    order = placed.order
    codes = np.asarray(codes)[order]
    xy = placed.xy[order]
    areas = np.full(len(order), size)
    if colors.kind == "classes":
        # a triangle or cross looks smaller than a disc or square in the same box
        marked = np.array([1.0 if s.marker in "os" else 1.5 for s in colors.styles] + [0.8])
        areas *= marked[codes]
    if placed.nearness is not None:
        areas *= 0.55 + 0.9 * placed.nearness[order]
    collection = PathCollection(
        _paths(colors, codes),
        sizes=areas,
        offsets=xy,
        offset_transform=axes.transData,
        facecolors=_facecolors(colors, codes),
        edgecolors="none",
        linewidths=0,
        alpha=0.85 if len(order) < 5000 else 0.6,
        rasterized=heavy,
        zorder=2,
    )
    collection.set_transform(IdentityTransform())
    axes.add_collection(collection, autolim=False)


def _paths(colors: Coloring, codes: Any) -> list[Any]:
    markers = [style.marker for style in colors.styles] or ["o"]
    shapes = {marker: _shape(marker) for marker in {*markers, "o"}}
    if len(shapes) == 1 or colors.kind != "classes":
        return [shapes["o"]]
    by_class = [shapes[marker] for marker in markers] + [shapes["o"]]
    return [by_class[code] for code in codes]


def _shape(marker: str) -> Any:
    style = MarkerStyle(marker)
    return style.get_path().transformed(style.get_transform())


def _facecolors(colors: Coloring, codes: Any) -> Any:
    if colors.kind == "values":
        palette = mpl.colormaps[_COLORMAP].with_extremes(bad=UNKNOWN_STYLE.color)
        low, high = colors.limits
        return palette(np.ma.masked_invalid((codes - low) / (high - low)))
    if colors.kind == "plain":
        return [colors.styles[0].color]
    # -1, not known, picks the last
    rgba = mpl.colors.to_rgba_array([s.color for s in [*colors.styles, UNKNOWN_STYLE]])
    return rgba[codes]


def _named_in_place(colors: Coloring) -> bool:
    """Tell whether classes are few and short of name, so that names may stand in the panels."""
    return (
        colors.kind == "classes"
        and colors.title != "cluster"
        and 1 < len(colors.names) <= 12
        and max(map(len, colors.names)) <= 10
    )


def _names(
    page: _Page, axes: Axes, placed: Placed, frame: Frame, colors: Coloring, codes: Any
) -> None:
    """Write the names of classes where they lie by themselves, and there is room."""
    if placed.nearness is not None or len(codes) == 0:
        return
    renderer = page.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    taken: list[Any] = []
    border = axes.get_window_extent(renderer)
    for code, spot in places_for_names(placed.xy, codes, frame, len(colors.names)).items():
        text = axes.text(
            float(spot[0]),
            float(spot[1]),
            printable(colors.names[code]),
            fontproperties=page.ruler.font(8, "bold"),
            color=_INK,
            ha="center",
            va="center",
            zorder=3,
            parse_math=False,
            path_effects=[withStroke(linewidth=2.4, foreground="white", alpha=0.9)],
        )
        extent = text.get_window_extent(renderer).padded(3)
        inside = border.x0 <= extent.x0 and extent.x1 <= border.x1
        inside = inside and border.y0 <= extent.y0 and extent.y1 <= border.y1
        if not inside or any(extent.overlaps(other) for other in taken):
            text.remove()
        else:
            taken.append(extent)


def _caption(page: _Page, caption: Caption, left: float, top: float, sizes: _Sizes) -> None:
    ruler, room = page.ruler, sizes.panel
    place_width = ruler.width(caption.place, sizes.small) + 0.05
    mark_width = ruler.width(caption.mark, sizes.name)
    baseline = top + sizes.name * 1.05 / 72
    name = ruler.shorten(caption.name, room - place_width - mark_width - 0.02, sizes.name, "bold")
    page.text(left, baseline, name + caption.mark, sizes.name, weight="bold")
    page.text(left + room, baseline, caption.place, sizes.small, color=_FAINT, align="right")
    for parts in filter(None, (caption.facts, caption.metrics)):
        baseline += sizes.small * 1.4 / 72
        line = _as_many_as_fit(parts, ruler, room, sizes.small)
        if line:
            page.text(left, baseline, line, sizes.small, color=_GREY)


def _as_many_as_fit(parts: Sequence[str], ruler: Ruler, room: float, size: float) -> str:
    line = ""
    for part in parts:
        longer = f"{line}  {part}" if line else ruler.shorten(part, room, size)
        if ruler.width(longer, size) <= room:
            line = longer
    return line


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of the legend, and where it stands."""

    text: str
    style: ClassStyle | None
    x: float
    line: int


def _legend_layout(colors: Coloring, ruler: Ruler, room: float) -> list[_Entry]:
    if colors.kind != "classes":
        return []
    shown = list(zip(colors.names, colors.styles, strict=True))[:_MOST_ENTRIES]
    items: list[tuple[str, ClassStyle | None]] = [
        (ruler.shorten(printable(name), min(room - _MARK, 1.6), 8), style) for name, style in shown
    ]
    if colors.title != "label":
        items.insert(0, (ruler.shorten(printable(colors.title), min(room, 1.6), 8), None))
    if len(colors.names) > len(shown):
        items.append((f"and {len(colors.names) - len(shown):,} more", None))
    if colors.unknown:
        items.append(("not known", UNKNOWN_STYLE))
    gap = 0.17
    widths = [ruler.width(text, 8) + (_MARK if style else 0.0) for text, style in items]
    if sum(widths) + gap * (len(widths) - 1) > room:
        widths = [max(widths)] * len(widths)  # several lines: entries stand below one another
    entries: list[_Entry] = []
    x, line = 0.0, 0
    for (text, style), width in zip(items, widths, strict=True):
        if x and x + width > room:
            x, line = 0.0, line + 1
        entries.append(_Entry(text, style, x, line))
        x += width + gap
    return entries


def _legend(page: _Page, entries: Sequence[_Entry], top: float) -> None:
    for entry in entries:
        x = _EDGE + entry.x
        baseline = top + 0.12 + entry.line * _LEGEND_LINE
        if entry.style:
            page.mark(x + 0.05, baseline - 0.04, entry.style)
            x += _MARK
        page.text(x, baseline, entry.text, 8, color=_INK if entry.style else _GREY)


def _colorbar(page: _Page, colors: Coloring, top: float) -> None:
    """Draw a bar with its two ends written beside it: they cannot run into one another."""
    low, high = (f"{value:.4g}" for value in colors.limits)
    title = page.ruler.shorten(printable(colors.title), 1.2, 8)
    x = _EDGE
    baseline = top + 0.14
    for text, color in ((title, _GREY), (low, _INK)):
        page.text(x, baseline, text, 8, color=color)
        x += page.ruler.width(text, 8) + 0.1
    axes = page.axes(x, top + 0.05, 1.0, 0.11)
    axes.imshow(np.linspace(0, 1, 256)[None], aspect="auto", cmap=_COLORMAP)
    axes.set_label("colorbar")
    page.text(x + 1.1, baseline, high, 8)


def _style() -> Any:
    """Return a context in which the user's own settings do not change the picture."""
    return mpl.rc_context(
        {
            "svg.hashsalt": "layerlens",
            "svg.fonttype": "path",
            "pdf.fonttype": 42,
            "pdf.compression": 6,
            "text.usetex": False,
            "text.antialiased": True,
            "path.effects": [],
            "path.sketch": None,
            "savefig.bbox": None,
            "savefig.facecolor": "auto",
            "savefig.transparent": False,
            "lines.markersize": 6.0,
            "image.interpolation": "antialiased",
            "axes.axisbelow": True,
        }
    )


@contextlib.contextmanager
def _no_glyph_warnings() -> Iterator[None]:
    # a character that no font has is drawn as a box, and the picture stands all the same
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield
