"""What results show of themselves in a notebook: static HTML that needs nothing around it.

Every text is escaped, styles are inline (notebooks and GitHub drop others), and colours are those
of the text around, so that it is as good on dark as on light. However large the result is, what is
shown of it is not: rows beyond some are counted and not shown, and long texts are cut.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from layerlens._pixels import data_uri

__all__ = [
    "MOST_ROWS", "Html", "escaped", "folded", "picture_of", "some", "strip", "summary", "table",
    "tile",
]  # fmt: skip

MOST_ROWS = 24
_LONGEST = 120

_FACTS = "opacity:.7;font-size:90%"
_CELL = "padding:3px 14px 3px 0;text-align:{};vertical-align:middle;border:0;white-space:nowrap"
_RULE = ";border-bottom:1px solid rgba(128,128,128,.45);font-weight:600"
_CAPTION = "font-size:80%;opacity:.75;line-height:1.3"


class Html(str):
    """Text that is HTML already, and not to be escaped."""

    __slots__ = ()


def escaped(text: object) -> Html:
    """Return a text as HTML, its middle left out where it is long."""
    if isinstance(text, Html):
        return text
    shown = str(text)
    if len(shown) > _LONGEST:
        half = _LONGEST // 2
        shown = f"{shown[: half - 1]}\N{HORIZONTAL ELLIPSIS}{shown[-half:]}"
    return Html(html.escape(shown))


def some(count: int, most: int = MOST_ROWS) -> list[int | None]:
    """Return which of so many rows to show: the first and the last, and None where some are not."""
    if count <= most:
        return list(range(count))
    half = most // 2
    return [*range(half), None, *range(count - half, count)]


def summary(title: str, facts: Iterable[str], *parts: str) -> Html:
    """Return a heading, facts of it in one line, and what comes below.

    `parts`: what comes below: `Html`, or text, which becomes a small line and is not cut.
    """
    said = " \N{MIDDLE DOT} ".join(escaped(fact) for fact in facts)
    below = "".join(
        part if isinstance(part, Html) else f'<div style="{_CAPTION}">{html.escape(part)}</div>'
        for part in parts
        if part
    )
    return Html(
        '<div style="max-width:100%;overflow-x:auto;line-height:1.4">'
        f'<div style="margin-bottom:4px"><b>{escaped(title)}</b> '
        f'<span style="{_FACTS}">{said}</span></div>{below}</div>'
    )


def table(
    head: Sequence[str], rows: Sequence[Sequence[str] | None], *, numbers: Sequence[int] = ()
) -> Html:
    """Return a table.

    `rows`: cells as text or `Html`; None for rows that are left out.
    """

    def line(cells: Sequence[str], tag: str, more: str = "") -> str:
        made = (
            f'<{tag} style="{_CELL.format("right" if i in numbers else "left")}{more}">'
            f"{escaped(cell)}</{tag}>"
            for i, cell in enumerate(cells)
        )
        return f"<tr>{''.join(made)}</tr>"

    dots = f'<td colspan="{len(head)}" style="{_CELL.format("left")}">\N{VERTICAL ELLIPSIS}</td>'
    gap = f"<tr>{dots}</tr>"
    body = "".join(gap if row is None else line(row, "td") for row in rows)
    top = f"<thead>{line(head, 'th', _RULE)}</thead>" if any(head) else ""
    return Html(
        '<table style="border-collapse:collapse;margin:0;font-variant-numeric:tabular-nums">'
        f"{top}<tbody>{body}</tbody></table>"
    )


def tile(png: bytes | None, alt: str, size: tuple[int, int], *captions: str) -> Html:
    """Return one small picture with lines below it.

    `png`: the picture; None for an empty frame.
    `size`: width and height in pixels of the screen.
    """
    width, height = size
    frame = f"width:{width}px;height:{height}px;border:1px solid rgba(128,128,128,.45)"
    if png is None:
        picture = f'<div style="{frame};box-sizing:border-box"></div>'
    else:
        picture = (
            f'<img src="{data_uri(png)}" alt="{escaped(alt)}" title="{escaped(alt)}" '
            f'style="{frame};box-sizing:border-box;image-rendering:pixelated;display:block;margin:0">'
        )
    below = "".join(f"<div>{escaped(caption)}</div>" for caption in captions)
    return Html(
        f'<div style="display:inline-block;vertical-align:top;margin:0 6px 4px 0">{picture}'
        f'<div style="{_CAPTION};max-width:{max(width, 64)}px;overflow:hidden;'
        f'text-overflow:ellipsis">{below}</div></div>'
    )


def picture_of(png: bytes, alt: str) -> Html:
    """Return a picture as it is, no wider than the page."""
    return Html(
        f'<img alt="{escaped(alt)}" src="{data_uri(png)}" style="max-width:100%;margin-top:8px">'
    )


def folded(title: str, below: str) -> Html:
    """Return what opens below its title when that is clicked."""
    return Html(
        f"<details><summary><b>{escaped(title)}</b></summary>"
        f'<div style="max-width:100%;overflow-x:auto">{below}</div></details>'
    )


def strip(tiles: Iterable[Html]) -> Html:
    """Return tiles in one line, which goes on below where there is no room."""
    return Html(f'<div style="margin:4px 0">{"".join(tiles)}</div>')
