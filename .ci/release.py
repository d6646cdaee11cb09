"""Check that a tag, the version in the sources and the changelog agree.

python .ci/release.py v0.1.0
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def disagreements(tag: str, root: Path = ROOT) -> list[str]:
    """Return what must be put right before the tag can be released."""
    source = (root / "src/layerlens/_version.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    version = found.group(1) if found else "(none)"
    wrong = []
    if not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        wrong.append(f"the tag is {tag!r}; a release's is v and three numbers, v0.1.0 say")
    if tag != f"v{version}":
        wrong.append(f"the tag is {tag!r}, src/layerlens/_version.py says {version!r}")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = rf"^## \[{re.escape(tag.removeprefix('v'))}\] - \d{{4}}-\d\d-\d\d$"
    if not re.search(heading, changelog, re.MULTILINE):
        wrong.append(
            f"CHANGELOG.md has no section ## [{tag.removeprefix('v')}] - YYYY-MM-DD; "
            f"name Unreleased so, and begin a new one above it"
        )
    return wrong


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python .ci/release.py v0.1.0")
    sys.exit("\n".join(disagreements(sys.argv[1])) or 0)
