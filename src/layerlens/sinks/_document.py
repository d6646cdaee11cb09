"""A packed page as one HTML file that needs nothing else and may do nothing else."""

from __future__ import annotations

import base64
import hashlib
import html
from typing import BinaryIO

from layerlens._version import __version__
from layerlens.errors import StoreError
from layerlens.sinks._page import PackedPage, as_json
from layerlens.viewer.source import module, style

__all__ = ["MARK", "size_of", "write_document"]

MARK = '<meta name="generator" content="layerlens'
"""What the pages of this sink can be told by."""

_START = """\
const view = mount(document.getElementById('layerlens'), fromPage(document), {page: true});
document.getElementById('layerlens').view = view;
"""
_GROUND = "html,body{height:100%;margin:0}#layerlens{height:100%}\n"
_LONGEST = 400_000_000  # characters of a section: browsers hold strings of about 512 million
_BLOCK = 3 * 2**18


def size_of(page: PackedPage) -> int:
    """Return about how many bytes the page's data take in a file."""
    return sum(
        len(as_json(section)) if isinstance(section, list) else 4 * -(-len(section) // 3)
        for section in page.sections.values()
    )


def write_document(page: PackedPage, stream: BinaryIO) -> None:
    """Write the page's HTML, in ASCII but for the viewer's own text, which is UTF-8.

    The policy in it lets the browser run the viewer's script, which it knows by its hash, and
    nothing else: no other script, no handler in an attribute, no ``eval``, no request of any
    kind. Images come from the page's own bytes.

    Raises
    ------
    StoreError
        If a section is longer than browsers can read.
    """
    for name, section in page.sections.items():
        if isinstance(section, bytes) and 4 * len(section) // 3 > _LONGEST:
            raise StoreError(
                f"the page's {name} would have {len(section) * 4 // 3 / 1e6:.0f} MB, more than "
                f"the {_LONGEST / 1e6:.0f} MB that browsers read. Show a sample of the points: "
                f"max_points=50_000, say."
            )
    script, sheet = module(page.head) + _START, _GROUND + style(page.head)
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(sheet)}; "
        f"img-src blob: data:; base-uri 'none'; form-action 'none'"
    )
    # errors="replace": a lone surrogate has no bytes in UTF-8
    title = html.escape(page.head["title"]).encode("utf-8", "replace").decode()
    put = _Writer(stream)
    put(
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f'{MARK} {__version__}">\n'
        # an icon of nothing, so that no server is asked for one
        '<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n<style>{sheet}</style>\n</head>\n<body>\n"
        '<div id="layerlens"></div>\n'
        "<noscript>This page draws with JavaScript, which is switched off here.</noscript>\n"
        f'<script type="application/json" id="ll-head">{as_json(page.head)}</script>\n'
    )
    for name, section in page.sections.items():
        if isinstance(section, bytes):
            put(f'<script type="text/plain" id="ll-{name}">')
            put.base64(section)
        else:
            put(f'<script type="application/json" id="ll-{name}">{as_json(section)}')
        put("</script>\n")
    put(f'<script type="module">{script}</script>\n</body>\n</html>\n')


class _Writer:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def __call__(self, text: str) -> None:
        self._stream.write(text.encode("utf-8"))

    def base64(self, data: bytes) -> None:
        # by blocks of threes, so that no second copy of a large section is made
        for start in range(0, len(data), _BLOCK):
            self._stream.write(base64.b64encode(data[start : start + _BLOCK]))


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
