"""What a sink is held to: one function a clause of the contract."""

# ruff: noqa: D401 -- the docstring of a check is the clause itself

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.plugins._clauses import Check, clauses, require
from layerlens.records import LayerEmbedding, LayerInfo, RunInfo

__all__ = ["SINK_CHECKS"]

Array = npt.NDArray[Any]
Factory = Callable[..., Any]

_N = 12
_OLD = b"what lay there before"


def _result(
    names: tuple[str, ...] = ("input", "conv1", "fc"),
    *,
    n_components: int = 2,
    n: int = _N,
    seed: int = 0,
    rows: Array | None = None,
    clusters: bool = False,
    metrics: bool = True,
    neighbors: bool = False,
    spread: bool = False,
    **run_facts: Any,
) -> list[LayerEmbedding]:
    """Return the layers of a small run."""
    rng = np.random.default_rng(seed)
    infos = {name: LayerInfo(name, "Conv2d", 100, 64, (4, 5, 5)) for name in names}
    run = RunInfo(layers=infos, ids=np.arange(n), created="2024-01-01T00:00:00Z", **run_facts)
    layers = []
    for index, name in enumerate(names):
        # the last layer is the one that lacks samples
        here = rows if index == len(names) - 1 else None
        n_rows = n if here is None else len(here)
        layers.append(
            LayerEmbedding(
                layer=name,
                index=index,
                coordinates=rng.normal(size=(n_rows, n_components)).astype(np.float32),
                run=run,
                clusters=np.arange(n_rows) % 3 if clusters else None,
                metrics={"trustworthiness": 0.9} if metrics else {},
                stress=rng.uniform(size=n_rows).astype(np.float32) if metrics else None,
                reducer="pca",
                params={"n_components": n_components, "notes": ["drawn for a check"]},
                rows=here,
                neighbors=_neighbors(n_rows) if neighbors else None,
                spread=rng.uniform(size=n_rows).astype(np.float32) if spread else None,
            )
        )
    return layers


def _neighbors(n_rows: int) -> Array:
    """Return each row's two neighbours, fewer where there are not so many rows."""
    steps = np.arange(1, min(3, n_rows))
    return np.asarray((np.arange(n_rows)[:, None] + steps) % n_rows, np.int32)


def _suffixes(factory: Factory) -> tuple[str, ...]:
    """Return the sink's suffixes, also where the factory is a partial or a function."""
    target: Any = factory
    while not hasattr(target, "suffixes") and hasattr(target, "func"):
        target = target.func
    require(
        hasattr(target, "suffixes"),
        "there is no class attribute suffixes; a sink that no suffix stands for has ()",
    )
    return tuple(target.suffixes)


@contextlib.contextmanager
def _target(factory: Factory, stem: str = "result") -> Iterator[Path]:
    """Yield a path in an empty folder of its own, with the sink's first suffix."""
    suffix = (*_suffixes(factory), "")[0]
    with tempfile.TemporaryDirectory(prefix="layerlens-") as folder:
        yield Path(folder) / f"{stem}{suffix}"


def _save(factory: Factory, path: Path | str, layers: list[LayerEmbedding]) -> None:
    with factory(path) as sink:
        for layer in layers:
            sink.write(layer)


def _content(path: Path) -> dict[str, bytes]:
    """Return every file at or under the path by its name."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def _listing(path: Path) -> list[str]:
    return sorted(p.name for p in path.parent.iterdir())


def _require_written(path: Path, what: str) -> None:
    require(path.exists() and _content(path), f"{what}: nothing lies at {path.name!r}")
    require(any(_content(path).values()), f"{what}: what lies at {path.name!r} is empty")
    others = [name for name in _listing(path) if name != path.name]
    require(not others, f"{what}: {', '.join(others)} lies beside {path.name!r}")


def suffixes_are_well_formed(factory: Factory) -> None:
    """``suffixes`` is a tuple of file endings, lower case, with the dot: ``(".npz",)``."""
    _suffixes(factory)
    target: Any = factory
    while not hasattr(target, "suffixes"):
        target = target.func
    suffixes = target.suffixes
    require(isinstance(suffixes, tuple), f"suffixes is a tuple, got {suffixes!r}")
    for suffix in suffixes:
        require(
            isinstance(suffix, str) and re.fullmatch(r"\.[^\s./\\A-Z]+", suffix),
            f"the suffix {suffix!r} is not a dot and lower-case characters",
        )
    require(len(set(suffixes)) == len(suffixes), f"suffixes {suffixes!r} names one twice")


def constructor_touches_nothing(factory: Factory) -> None:
    """Making a sink leaves the disk alone, and needs no folder."""
    with _target(factory) as path:
        factory(path)
        require(not _listing(path), f"the constructor made {', '.join(_listing(path))}")
        path.write_bytes(_OLD)
        factory(path)
        require(path.read_bytes() == _OLD, "the constructor changed what lay at the path")
        try:
            factory(path.parent / "missing" / path.name)
        except OSError as error:
            raise AssertionError(
                f"the constructor looks for the folder ({error}); that belongs into the block"
            ) from error
        require(not (path.parent / "missing").exists(), "the constructor made a folder")


def refuses_unknown_options(factory: Factory) -> None:
    """An option that the sink does not have is a TypeError when it is made."""
    with _target(factory) as path:
        try:
            factory(path, no_such_option_of_any_sink=1)
        except TypeError:
            return
        except Exception as error:
            raise AssertionError(
                f"an unknown option gives {type(error).__name__}, not TypeError"
            ) from error
    raise AssertionError("an unknown option is taken without a word")


def writes_for_every_suffix(factory: Factory) -> None:
    """After the block the result lies at the path, for every suffix, and nothing beside it."""
    for suffix in _suffixes(factory) or ("",):
        with _target(factory) as path:
            path = path.with_suffix(suffix)
            _save(factory, path, _result())
            _require_written(path, f"after the block, for {suffix or 'no suffix'}")


def takes_a_path_or_a_str(factory: Factory) -> None:
    """The path may be a str or a Path, with spaces and characters beyond ASCII."""
    for kind in (str, Path):
        with _target(factory, stem="ein Würfel 5%#立方体") as path:
            _save(factory, kind(path), _result())
            _require_written(path, f"for a {kind.__name__}")


def block_returns_the_sink(factory: Factory) -> None:
    """``with Sink(path) as sink`` gives something that writes."""
    with _target(factory) as path, factory(path) as sink:
        require(
            callable(getattr(sink, "write", None)), "__enter__ does not return what has a write"
        )
        for layer in _result():
            sink.write(layer)


def nothing_shows_before_the_end(factory: Factory) -> None:
    """Inside the block the final name is as it was: free, or with the old content."""
    with _target(factory) as path:
        for old in (None, _OLD):
            with factory(path) as sink:
                if old:
                    path.unlink(missing_ok=True)
                    path.write_bytes(old)
                for layer in _result():
                    sink.write(layer)
                    now = path.read_bytes() if path.is_file() else None
                    if old is None:
                        require(
                            not path.exists(), "something lies at the path before the block ends"
                        )
                    else:
                        require(now == old, "the old file is changed before the block ends")
            if not path.is_file():
                return  # a sink that makes a folder: an old file cannot lie there


def replaces_an_old_file(factory: Factory) -> None:
    """A second result takes the place of the first."""
    with _target(factory) as path:
        _save(factory, path, _result())
        first = _content(path)
        _save(factory, path, _result(seed=1))
        _require_written(path, "after writing twice")
        require(_content(path) != first, "the second result is not there: the first still is")


def leaves_nothing_after_an_exception(factory: Factory) -> None:
    """Leaving the block on an exception, or Ctrl-C, leaves nothing; it is not swallowed."""
    for kind in (RuntimeError, KeyboardInterrupt):
        for n_written in (0, 1, 3):
            with _target(factory) as path:
                _fail_inside(factory, path, kind, n_written)
                require(
                    not _listing(path),
                    f"{kind.__name__} after {n_written} layers leaves "
                    f"{', '.join(_listing(path))} behind",
                )


def keeps_the_old_file_after_an_exception(factory: Factory) -> None:
    """Leaving the block on an exception keeps what lay at the path before."""
    for kind in (RuntimeError, KeyboardInterrupt):
        with _target(factory) as path:
            _save(factory, path, _result())
            before = _content(path)
            _fail_inside(factory, path, kind, 1)
            require(
                path.exists() and _content(path) == before,
                f"{kind.__name__} inside of the block loses what lay at the path before",
            )


def _fail_inside(factory: Factory, path: Path, kind: type[BaseException], n_written: int) -> None:
    mark = kind("raised inside of the block")
    try:
        with factory(path) as sink:
            for layer in _result()[:n_written]:
                sink.write(layer)
            raise mark
    except kind as error:
        require(error is mark, f"the {kind.__name__} of the block is replaced by another")
    else:
        raise AssertionError(f"the block swallows a {kind.__name__}")


def missing_folder_is_an_oserror(factory: Factory) -> None:
    """Where the folder is missing there is an OSError, and no folder is made."""
    with _target(factory) as path:
        missing = path.parent / "missing" / path.name
        try:
            _save(factory, missing, _result())
        except OSError:
            require(not missing.parent.exists(), "the missing folder was made")
            return
        except Exception as error:
            raise AssertionError(
                f"a missing folder gives {type(error).__name__}, not OSError: {error}"
            ) from error
        raise AssertionError("a missing folder is no error: it was made, or nothing was written")


def refuses_to_write_outside_of_the_block(factory: Factory) -> None:
    """``write`` before or after the block is an error and changes nothing."""
    layers = _result()
    with _target(factory) as path:
        _refused(factory(path), layers[0], "before the block")
        require(not _listing(path), "write before the block made a file")
        sink = factory(path)
        with sink as writer:
            for layer in layers:
                writer.write(layer)
        before = _content(path)
        _refused(writer, layers[0], "after the block")
        require(_content(path) == before, "write after the block changed the result")


def _refused(sink: Any, layer: LayerEmbedding, when: str) -> None:
    try:
        sink.write(layer)
    except Exception:  # noqa: BLE001 -- whatever error the author chose
        return
    raise AssertionError(f"write {when} is taken without a word")


def every_layer_is_written(factory: Factory) -> None:
    """What any one layer holds changes the result: none is dropped or overwritten."""
    layers = _result()
    with _target(factory) as path:
        _save(factory, path, layers)
        whole = _content(path)
    for i, layer in enumerate(layers):
        moved = LayerEmbedding(
            layer.layer,
            layer.index,
            # a turn by a quarter: another picture at any scale
            np.column_stack([layer.coordinates[:, 1], -layer.coordinates[:, 0]]),
            layer.run,
            metrics=layer.metrics,
            stress=layer.stress,
            reducer=layer.reducer,
            params=layer.params,
        )
        with _target(factory) as path:
            _save(factory, path, [*layers[:i], moved, *layers[i + 1 :]])
            require(
                _content(path) != whole,
                f"the coordinates of layer {i} of {len(layers)} leave no trace in the result",
            )


def leaves_layers_alone(factory: Factory) -> None:
    """Arrays of a layer are not written to, and may be read-only."""
    layers = _result(labels=np.arange(_N) % 2, clusters=True, neighbors=True, spread=True)
    arrays = [layer.coordinates for layer in layers]
    for name in ("stress", "spread", "neighbors", "clusters"):
        arrays += [getattr(layer, name) for layer in layers]
    arrays += [layers[0].run.ids]
    before = [array.copy() for array in arrays]
    with _target(factory) as path:
        _save(factory, path, layers)
    for array, kept in zip(arrays, before, strict=True):
        require(np.array_equal(array, kept), "the sink changed an array of a layer")
        array.setflags(write=False)
    with _target(factory) as path:
        _save(factory, path, layers)


def takes_any_name(factory: Factory) -> None:
    """Layers, classes, ids and columns may be called anything; nothing is written elsewhere."""
    names = (
        *("", ":1", "[0]", "a/b", "../../escape", "/tmp/escape", "C:\\x", "con"),  # noqa: S108
        *("$x_1$", "<b>&amp;", 'a,"b"', "=1+1", "a\nb\tc", "é立方体", "🙂", "x" * 300),
    )
    run_facts: dict[str, Any] = {
        "labels": np.array([*names, ""], dtype=str),
        "columns": {name or "empty": np.arange(len(names) + 1) for name in names},
    }
    layers = _result(names, n=len(names) + 1, **run_facts)
    _tried(factory, layers, "names that nobody foresaw")
    numbered = _result(labels=np.arange(_N) % 3, label_names=("", "a\nb", "🙂"))
    _tried(factory, numbered, "names of classes that nobody foresaw")


def takes_any_number_of_components(factory: Factory) -> None:
    """Pictures have one, two, three or more dimensions."""
    for n_components in (1, 2, 3, 5):
        _tried(
            factory, _result(n_components=n_components), f"pictures of {n_components} dimensions"
        )


def takes_any_labels(factory: Factory) -> None:
    """Labels are integers with or without names, strings, numbers, unknown, or not there."""
    rng = np.random.default_rng(0)
    kinds: dict[str, dict[str, Any]] = {
        "no labels": {},
        "integers": {"labels": np.arange(_N) % 3},
        "integers, some of them -1": {"labels": np.arange(_N) % 3 - 1},
        "integers with names": {"labels": np.arange(_N) % 3, "label_names": ("a", "b", "c")},
        "integers with too few names": {"labels": np.arange(_N) % 3, "label_names": ("a",)},
        "strings": {"labels": np.array(["a", "b", ""])[np.arange(_N) % 3]},
        "numbers": {"labels": rng.normal(size=_N)},
        "numbers, some of them NaN": {"labels": np.where(np.arange(_N) % 3, 1.5, np.nan)},
        "one class": {"labels": np.zeros(_N, dtype=int)},
    }
    for name, facts in kinds.items():
        _tried(factory, _result(**facts), f"labels: {name}")


def takes_layers_of_other_rows(factory: Factory) -> None:
    """A layer may hold some of the samples only, which its ``rows`` says."""
    rows = np.array([7, 1, 4])
    for labels in (None, np.arange(_N) % 3):
        some = _result(rows=rows, labels=labels, clusters=True, neighbors=True, spread=True)
        _tried(factory, some, "a layer of some samples")


def takes_clusters_thumbnails_and_columns(factory: Factory) -> None:
    """Whatever a run can have: clusters, thumbnails, columns; neighbours and spread, or none."""
    run: dict[str, Any] = {
        "thumbnails": np.arange(_N * 16, dtype=np.uint8).reshape(_N, 4, 4, 1),
        "columns": {
            "split": np.array(["train", "test"])[np.arange(_N) % 2],
            "loss": np.linspace(0, 1, _N),
        },
        "versions": {"torch": "2.6"},
    }
    everything = _result(clusters=True, neighbors=True, spread=True, **run)
    _tried(factory, everything, "a run with everything")
    _tried(factory, _result(neighbors=True), "layers with neighbours")
    _tried(factory, _result(spread=True), "layers with a spread over seeds")
    layers = _result(n=1, neighbors=True)
    _tried(factory, layers, "a run of one sample")
    _tried(factory, _result(metrics=False), "layers without metrics and stress")
    _tried(factory, _result(("only",)), "a run of one layer")


def takes_a_dot(factory: Factory) -> None:
    """All samples may lie on one spot, as those of a dead layer do."""
    layers = [
        LayerEmbedding(layer.layer, layer.index, np.zeros((_N, 2), dtype=np.float32), layer.run)
        for layer in _result()
    ]
    _tried(factory, layers, "pictures that are one dot")


def _tried(factory: Factory, layers: list[LayerEmbedding], what: str) -> None:
    with _target(factory) as path:
        try:
            _save(factory, path, layers)
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
        _require_written(path, what)


SINK_CHECKS: dict[str, Check] = clauses(
    "sink",
    suffixes_are_well_formed,
    constructor_touches_nothing,
    refuses_unknown_options,
    block_returns_the_sink,
    writes_for_every_suffix,
    takes_a_path_or_a_str,
    nothing_shows_before_the_end,
    replaces_an_old_file,
    leaves_nothing_after_an_exception,
    keeps_the_old_file_after_an_exception,
    missing_folder_is_an_oserror,
    refuses_to_write_outside_of_the_block,
    every_layer_is_written,
    leaves_layers_alone,
    takes_any_name,
    takes_any_number_of_components,
    takes_any_labels,
    takes_layers_of_other_rows,
    takes_clusters_thumbnails_and_columns,
    takes_a_dot,
)
"""The clauses of a sink's contract by name: each takes the class, and raises or returns."""
