"""The command line: ``layerlens demo | embed | maps | top | plugins | show``.

Exit codes: 0 done, 1 a failure (one clear line on standard error), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Sequence

from layerlens._version import __version__
from layerlens.errors import LayerlensError, LayerlensWarning

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    from layerlens.cli import demo, embed, maps, plugins, show

    parser = argparse.ArgumentParser(
        prog="layerlens", description="See what every layer of a PyTorch network does to your data."
    )
    parser.add_argument("--version", action="version", version=f"layerlens {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="on a failure, print the traceback")
    commands = parser.add_subparsers(title="commands", dest="command", required=True)
    for command in (demo, embed, maps, plugins, show):
        command.add_parser(commands, common)
    return parser


def _say_in_one_line(
    message: Warning | str, category: type[Warning], *where: object, **more: object
) -> None:
    if issubclass(category, LayerlensWarning):
        print(f"layerlens: note: {message}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        Exit code.
    """
    try:
        return _run(argv)
    except KeyboardInterrupt:  # while it is still loading, too
        print("layerlens: interrupted; no file is left half-written", file=sys.stderr)
        return 130


def _run(argv: Sequence[str] | None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        # names may have what the terminal has not; lines are to be seen when they are printed
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    given = _parser().parse_args(argv)
    if not given.debug:
        warnings.showwarning = _say_in_one_line
    try:
        return int(given.run(given))
    except BrokenPipeError:  # what reads our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if given.debug:
            raise
        known = isinstance(error, LayerlensError | OSError)
        what = str(error) if known else f"{type(error).__name__}: {error}"
        # whose fault it was: "while reducing layer 'conv1' with 'umap'"
        what = ", ".join([what, *getattr(error, "__notes__", ())])
        hint = "" if known else " (--debug shows the traceback)"
        print(f"layerlens: {' '.join(what.split())}{hint}", file=sys.stderr)
        return 1
