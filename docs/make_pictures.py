"""The docs' pictures, made by the build.

mkdocs calls `on_pre_build`. A picture that is there already is not made again; the one that the
README shows is kept in the repository. By hand, for all of them anew:

    python docs/make_pictures.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PICTURES = Path(__file__).parent / "pictures"
EXAMPLES = Path(__file__).parents[1] / "examples"


def _demo(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _python("-m", "layerlens", "demo", "--out", folder)
        target.write_bytes((Path(folder) / "lenet.png").read_bytes())


def _example(name: str, *options: str) -> Any:
    return lambda target: _python(str(EXAMPLES / name), "--out", str(target), *options)


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603


MADE = {
    "demo.png": _demo,
    "maps_lenet.png": _example("maps_lenet.py", "--quick"),
    "swiss_roll.png": _example("swiss_roll.py"),
}


def make(*, again: bool) -> None:
    """Make each picture, or only those that are not there."""
    PICTURES.mkdir(exist_ok=True)
    for name, maker in MADE.items():
        if again or not (PICTURES / name).exists():
            maker(PICTURES / name)
            _shrink(PICTURES / name)


def _shrink(picture: Path) -> None:
    """Keep 128 colours, which are all that a scatter plot has, and a third of the bytes."""
    from PIL import Image

    Image.open(picture).convert("RGB").quantize(128).save(picture, optimize=True)


def on_pre_build(config: Any) -> None:
    """Be called by mkdocs."""
    make(again=False)


if __name__ == "__main__":
    make(again=True)
