"""The public signatures as text, one a line: what other people's code depends on.

    python tests/public_api.py            # what has changed since public_api.txt was written
    python tests/public_api.py --write    # write it anew, once CHANGELOG.md tells of each change

`tests/test_api_stability.py` compares. Annotations are left out: they may be made more exact.
"""

from __future__ import annotations

import difflib
import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import layerlens as ll

ROOT = Path(__file__).parents[1]
LISTING = Path(__file__).with_suffix(".txt")
_SUBMODULES = ("reducers", "sinks", "testing")


def listing() -> list[str]:
    """Return the lines for the package as it is installed."""
    lines: list[str] = []
    for name in ll.__all__:
        if name not in (*_SUBMODULES, "__version__"):
            lines += _lines(f"layerlens.{name}", getattr(ll, name))
    for module in _SUBMODULES:
        for name in getattr(ll, module).__all__:
            lines += _lines(f"layerlens.{module}.{name}", getattr(getattr(ll, module), name))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for group, points in project["entry-points"].items():
        lines += [f"entry point {group}: {name}" for name in points]
    lines += [f"command: {name}" for name in project["scripts"]]
    # the built-in sinks load without their extras; options of theirs are keywords of save()
    for name in project["entry-points"]["layerlens.sinks"]:
        factory = ll.sinks.factory(name)
        lines.append(f"sink {name}{_signature(factory)} for {' '.join(factory.suffixes) or 'none'}")
    return sorted(set(lines))


def _lines(name: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value):
        bases = [base.__name__ for base in value.__mro__[1:] if base is not object]
        if issubclass(value, BaseException):
            yield f"{name} is {', '.join(bases)}"
            return
        yield f"{name}{_signature(value)}"
        for key in dir(value):
            own = inspect.getattr_static(value, key)
            if key.startswith("_") or not _is_ours(value, key):
                continue
            if isinstance(own, property):
                yield f"{name}.{key}: property"
            elif callable(getattr(value, key)):
                yield f"{name}.{key}{_signature(getattr(value, key))}"
            else:
                yield f"{name}.{key}: attribute"
    elif callable(value):
        yield f"{name}{_signature(value)}"
    else:
        yield f"{name}: {type(value).__name__}"


def _is_ours(value: type, key: str) -> bool:
    """Whether a member comes from layerlens or from the abstract classes, not from elsewhere."""
    owner = next(base for base in value.__mro__ if key in vars(base))
    return owner.__module__.startswith("layerlens")


def _signature(function: Any) -> str:
    try:
        signature = inspect.signature(function)
    except ValueError:
        return "(?)"
    parameters = [
        p.replace(
            annotation=p.empty, default=p.default if p.default is p.empty else _Shown(p.default)
        )
        for p in signature.parameters.values()
    ]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))


class _Shown:
    """A default value as it is written down: the same on every machine and in every version."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __repr__(self) -> str:
        value = self._value
        if value is None or type(value) in (bool, int, float, str, bytes):
            return repr(value)
        if type(value) in (tuple, list):
            return f"{type(value).__name__}({', '.join(repr(_Shown(v)) for v in value)})"
        if isinstance(value, Enum):
            return str(value)
        return f"<{getattr(value, '__name__', None) or type(value).__name__}>"


def changes(old: list[str], new: list[str]) -> list[str]:
    """Return what is no longer there with a minus before it, and what is new with a plus."""
    return [line for line in difflib.ndiff(old, new) if line.startswith(("- ", "+ "))]


def names(changed: list[str]) -> set[str]:
    """Return which names the changes are about: ``Probe.run`` for ``+ layerlens.Probe.run(…)``."""
    found = set()
    for line in changed:
        text = line[2:].removeprefix("layerlens.")
        text = re.sub(r"^(entry point \S+|command|sink) ?:? ?", "", text)
        found.add(re.split(r"[(: ]", text, maxsplit=1)[0])
    return found


def untold(changed: list[str], changelog: str) -> list[str]:
    """Return the names that the changelog's section Unreleased does not have in backquotes."""
    section = changelog.partition("## [Unreleased]")[2].partition("\n## [")[0]
    told = " ".join(re.findall(r"`([^`]*)`", section))

    def is_told(name: str) -> bool:
        # Probe.run may be told of as `Probe.run(…)`, `.run` or `run`
        last = re.escape(name.rpartition(".")[2])
        return re.search(rf"(?<!\w){last}(?!\w)", told) is not None

    old, new = (names([line for line in changed if line.startswith(sign)]) for sign in "-+")
    # of a class that is new, or gone, its own name is enough
    whole = {name for name in old ^ new if is_told(name)}
    return sorted(
        name
        for name in names(changed)
        if not is_told(name) and name.rpartition(".")[0] not in whole
    )


def read() -> list[str]:
    """Return the lines that are checked in."""
    return LISTING.read_text(encoding="utf-8").splitlines()


def main() -> int:
    old = read() if LISTING.exists() else []
    new = listing()
    changed = changes(old, new)
    print("\n".join(changed) or "nothing has changed")
    missing = untold(changed, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")) if old else []
    if missing:
        print(
            f"\nCHANGELOG.md does not tell of it: under ## [Unreleased] there is no "
            f"{', '.join(f'`{name}`' for name in missing)}. Write a line, then run this again."
        )
        return 1
    if "--write" in sys.argv[1:]:
        LISTING.write_text("\n".join(new) + "\n", encoding="utf-8")
        print(f"\nwrote {LISTING.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
