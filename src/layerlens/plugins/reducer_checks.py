"""What a reducer is held to: one function a clause of the contract."""

# ruff: noqa: D401 -- the docstring of a check is the clause itself

from __future__ import annotations

import numbers
import pickle
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.plugins._clauses import Check, clauses, require
from layerlens.plugins.protocols import accepts, draws_series, learns_from_blocks

__all__ = ["REDUCER_CHECKS", "TOTAL_REDUCER_CHECKS"]

Array = npt.NDArray[Any]
Factory = Callable[..., Any]

_N = 60
_FEATURES = 12


def _make(factory: Factory, **params: Any) -> Any:
    """Make a reducer as layerlens does: parameters that it does not take are not passed."""
    params = {"n_components": 2, "random_state": 0, "n_jobs": 1, **params}
    return factory(**{name: value for name, value in params.items() if accepts(factory, name)})


def _cloud(n: int = _N, features: int = _FEATURES, seed: int = 0) -> Array:
    """Return two blobs far apart: rows 0, 2, 4, … in one, the others in the other."""
    X = np.random.default_rng(seed).normal(size=(n, features))
    X[1::2] += 100  # in every feature: also a random direction shows two blobs
    return X.astype(np.float32)


def _picture(value: Any, n: int, what: str) -> Array:
    """Return the coordinates as an array, after looking at form and values."""
    require(
        isinstance(value, np.ndarray) or hasattr(value, "__array__"),
        f"{what} is no array but {type(value).__name__}",
    )
    array = np.asarray(value)
    require(array.dtype.kind == "f", f"{what} has dtype {array.dtype}, not floating point")
    require(
        array.ndim == 2 and len(array) == n and array.shape[1] >= 1,
        f"{what} has shape {array.shape}; it is (n_samples, n_components), n_samples={n}",
    )
    require(np.isfinite(array).all(), f"{what} holds NaN or infinity")
    return array


def _fit(reducer: Any, X: Array, *args: Any, **kwargs: Any) -> Array:
    return _picture(reducer.fit_transform(X, *args, **kwargs), len(X), "fit_transform(X)")


def gives_a_picture(factory: Factory) -> None:
    """``fit_transform(X)`` gives finite floating-point coordinates, a row for each sample."""
    _fit(_make(factory), _cloud())


def takes_labels(factory: Factory) -> None:
    """``fit_transform(X, y)`` takes labels, and leaves them as they are."""
    X, y = _cloud(), np.arange(_N) % 3
    before = y.copy()
    _fit(_make(factory), X, y)
    require(np.array_equal(y, before), "fit_transform changed the labels that it was given")


def keeps_rows_in_order(factory: Factory) -> None:
    """Row i of the picture is sample i, and what is far apart in X is not mixed up."""
    _require_apart(_fit(_make(factory), _cloud()), "two blobs 100 standard deviations apart")


def _require_apart(picture: Array, what: str) -> None:
    distances = np.linalg.norm(picture[:, None] - picture[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    side = np.arange(len(picture)) % 2
    # dots on one spot are everyone's nearest: which of them argmin names says nothing
    same = (side[distances.argmin(axis=1)] == side).mean()
    require(
        same >= 0.9,
        f"of {what}, {same:.0%} of the points have a point of their own blob nearest in the "
        f"picture: rows are out of order, or the picture does not show the data",
    )


def leaves_input_alone(factory: Factory) -> None:
    """X is not written to, and the picture is not a view of it."""
    X = _cloud()
    before = X.copy()
    picture = _fit(_make(factory), X)
    require(np.array_equal(X, before), "fit_transform changed X")
    require(not np.shares_memory(picture, X), "the picture is a view of X's memory")


def takes_read_only_input(factory: Factory) -> None:
    """X may be read-only, as what is mapped from a file is."""
    X = _cloud()
    X.setflags(write=False)
    try:
        picture = _fit(_make(factory), X)
    except (ValueError, TypeError) as error:
        raise AssertionError(f"fit_transform fails for a read-only X: {error}") from error
    _require_apart(picture, "a read-only X")


def takes_strided_input(factory: Factory) -> None:
    """X may be a strided view, as a slice or a transpose is."""
    X = _cloud()
    wide = np.zeros((2 * _N, 2 * _FEATURES), dtype=np.float32)
    wide[::2, ::2] = X
    for name, view in (("sliced", wide[::2, ::2]), ("Fortran-ordered", np.asfortranarray(X))):
        _require_apart(_fit(_make(factory), view), f"a {name} X")


def is_deterministic(factory: Factory) -> None:
    """One ``random_state`` gives one picture, whatever NumPy's global state is."""
    X = _cloud()
    state = np.random.get_state()  # noqa: NPY002 -- the global state is what is looked at
    try:
        np.random.seed(1)  # noqa: NPY002
        first = _fit(_make(factory), X)
        np.random.seed(2)  # noqa: NPY002
        second = _fit(_make(factory), X)
    finally:
        np.random.set_state(state)  # noqa: NPY002
    require(
        np.array_equal(first, second),
        "two reducers made alike (random_state=0 where it is taken) give two pictures of one X",
    )


def takes_any_seed(factory: Factory) -> None:
    """Another ``random_state`` gives a picture too."""
    if accepts(factory, "random_state"):
        for seed in (1, 2**31 - 1):
            _fit(_make(factory, random_state=seed), _cloud())


def leaves_global_random_state_alone(factory: Factory) -> None:
    """NumPy's global random state is the same afterwards: it is the caller's."""
    state = np.random.get_state()  # noqa: NPY002 -- the global state is what is looked at
    try:
        # one that it does not leave itself: it may have been seeded by the check before
        np.random.seed(865_309)  # noqa: NPY002
        before = np.random.get_state()  # noqa: NPY002
        _fit(_make(factory), _cloud())
        after = np.random.get_state()  # noqa: NPY002
    finally:
        np.random.set_state(state)  # noqa: NPY002
    same = all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    require(same, "fit_transform changed NumPy's global random state (numpy.random.seed?)")


def honours_n_components(factory: Factory) -> None:
    """With ``n_components=C`` the picture has C columns, for C of 1, 2 and 3."""
    if not accepts(factory, "n_components"):
        return
    for n_components in (1, 2, 3):
        picture = _fit(_make(factory, n_components=n_components), _cloud())
        require(
            picture.shape[1] == n_components,
            f"n_components={n_components} gives {picture.shape[1]} columns",
        )


def constructor_only_stores(factory: Factory) -> None:
    """The constructor keeps parameters as they came; nothing is fitted before fitting."""
    reducer = _make(factory)
    kept = getattr(reducer, "__dict__", ())  # none of one with __slots__
    fitted = [name for name in kept if name.endswith("_") and not name.startswith("_")]
    require(
        not fitted,
        f"the constructor sets {', '.join(fitted)}: names that end in _ are set by fitting",
    )
    if not hasattr(reducer, "get_params"):
        return
    params = reducer.get_params(deep=False)
    for name in ("n_components", "random_state"):
        if accepts(factory, name):
            given = 3
            kept = _make(factory, **{name: given}).get_params(deep=False).get(name)
            require(kept == given, f"made with {name}={given}, get_params() says {name}={kept!r}")
    again = type(reducer)(**params).get_params(deep=False)
    changed = [name for name, value in params.items() if again.get(name) is not value]
    require(
        not changed,
        f"the constructor changes {', '.join(changed)}: it stores what it is given as it is, and "
        f"checks it when fitting",
    )


def refitting_forgets(factory: Factory) -> None:
    """A reducer fitted before gives what a new one gives, and the first picture stays."""
    first, second = _cloud(), _cloud(_N - 7, _FEATURES - 2, seed=1)
    reducer = _make(factory)
    picture = _fit(reducer, first)
    kept = picture.copy()
    again = _fit(reducer, second)
    require(np.array_equal(picture, kept), "fitting again changed the picture returned before")
    fresh = _fit(_make(factory), second)
    require(
        np.array_equal(again, fresh), "a reducer fitted before gives another picture than a new one"
    )


def labels_fit_the_rows(factory: Factory) -> None:
    """``labels_``, where there is one after fitting, is one integer a sample."""
    reducer = _make(factory)
    for X in (_cloud(), _cloud(_N - 7)):
        _fit(reducer, X)
        labels = getattr(reducer, "labels_", None)
        if labels is None:
            return
        labels = np.asarray(labels)
        require(
            labels.shape == (len(X),) and labels.dtype.kind in "iu",
            f"labels_ is {labels.dtype} of shape {labels.shape}; it is integers of shape "
            f"({len(X)},)",
        )


def reports_are_well_formed(factory: Factory) -> None:
    """``notes_``, where there is one, holds str; ``metrics_`` is a mapping of str to numbers."""
    reducer = _make(factory)
    _fit(reducer, _cloud())
    notes = getattr(reducer, "notes_", ())
    require(
        isinstance(notes, Sequence)
        and not isinstance(notes, str)
        and all(isinstance(note, str) for note in notes),
        f"notes_ is a sequence of str, got {notes!r}",
    )
    metrics = getattr(reducer, "metrics_", {})
    require(
        isinstance(metrics, Mapping)
        and all(isinstance(k, str) and isinstance(v, numbers.Real) for k, v in metrics.items()),
        f"metrics_ is a mapping of str to numbers, got {metrics!r}",
    )


def can_be_pickled(factory: Factory) -> None:
    """A reducer goes to another process and gives the same picture there."""
    reducer = _make(factory)
    try:
        copy = pickle.loads(pickle.dumps(reducer))  # noqa: S301 -- made a moment ago
    except Exception as error:
        raise AssertionError(
            f"a reducer cannot be pickled: {type(error).__name__}: {error}"
        ) from error
    same = np.array_equal(_fit(copy, _cloud()), _fit(reducer, _cloud()))
    require(same, "a reducer gives another picture once it was pickled")


def small_or_poor_clouds_are_drawn_or_refused(factory: Factory) -> None:
    """Few samples, duplicates, one feature: a finite picture, or a ValueError with words."""
    for name, X in _poor_clouds().items():
        reducer = _make(factory)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it may warn of a cloud that is poor indeed
                value = reducer.fit_transform(X)
        except ValueError as error:
            require(str(error).strip(), f"{name} is refused without a word")
        except Exception as error:
            raise AssertionError(
                f"{name} gives {type(error).__name__}: {error}. A cloud is drawn, or refused with "
                f"a ValueError"
            ) from error
        else:
            _picture(value, len(X), f"the picture of {name}")


def _poor_clouds() -> dict[str, Array]:
    clouds = {f"a cloud of {n} samples": _cloud(n) for n in (2, 3, 4, 5)}
    clouds["a constant cloud"] = np.ones((_N, _FEATURES), dtype=np.float32)
    clouds["a cloud of duplicates"] = np.repeat(_cloud(4), _N // 4, axis=0)
    clouds["a cloud of one feature"] = _cloud(features=1)
    return clouds


def uses_init(factory: Factory) -> None:
    """``init``, where it is taken, is where the picture starts; it is not written to."""
    if not accepts(_make(factory).fit_transform, "init"):
        return
    X = _cloud()
    start = np.random.default_rng(0).normal(size=(_N, 2)).astype(np.float32)
    before = start.copy()
    pictures = []
    for init in (start, -start):
        init.setflags(write=False)
        pictures.append(_fit(_make(factory, n_components=2), X, init=init))
    require(np.array_equal(start, before), "fit_transform changed init")
    require(
        not np.array_equal(pictures[0], pictures[1]),
        "a start and its mirror image give one picture: init is taken and not used",
    )
    _fit(_make(factory), X, init=None)


def uses_neighbors(factory: Factory) -> None:
    """``neighbors``, where it is taken, is used; ``n_neighbors_needed`` fits the cloud."""
    reducer = _make(factory)
    if not accepts(reducer.fit_transform, "neighbors"):
        return
    require(
        hasattr(reducer, "n_neighbors_needed"),
        "fit_transform takes neighbors, but there is no n_neighbors_needed(n_samples)",
    )
    for n in (3, _N):
        needed = reducer.n_neighbors_needed(n)
        require(
            isinstance(needed, (int, np.integer)) and 1 <= needed < n,
            f"n_neighbors_needed({n}) is {needed!r}; it is a whole number from 1 to {n - 1}",
        )
    X = _cloud()
    k = int(reducer.n_neighbors_needed(_N))
    # the neighbours of another cloud, in which the blobs are made of other samples
    shuffled = X[np.random.default_rng(0).permutation(_N)]
    pictures = []
    for source in (X, shuffled):
        distances = np.linalg.norm(source[:, None] - source[None], axis=2)
        np.fill_diagonal(distances, np.inf)
        indices = np.argsort(distances, axis=1)[:, :k].astype(np.int32)
        nearest = np.take_along_axis(distances, indices, axis=1).astype(np.float32)
        for array in (indices, nearest):
            array.setflags(write=False)
        pictures.append(_fit(_make(factory), X, neighbors=(indices, nearest)))
    require(
        not np.array_equal(pictures[0], pictures[1]),
        "the neighbours of two clouds give one picture: neighbors is taken and not used",
    )
    _fit(_make(factory), X, neighbors=None)


def draws_a_series(factory: Factory) -> None:
    """``fit_transform_series``, where there is one, gives a picture for each layer."""
    reducer = _make(factory)
    if not draws_series(reducer):
        return
    # in one frame there is one feature space
    widths = (8, 8, 8) if getattr(reducer, "one_frame", False) else (12, 5, 8)
    layers = [_cloud(features=width, seed=i) for i, width in enumerate(widths)]
    before = [layer.copy() for layer in layers]
    results = []
    for _ in range(2):
        pictures = list(_make(factory).fit_transform_series(layers))
        require(
            len(pictures) == len(layers),
            f"fit_transform_series gives {len(pictures)} pictures of {len(layers)} layers",
        )
        results.append(
            [_picture(p, _N, f"picture {i} of the series") for i, p in enumerate(pictures)]
        )
    for i, (layer, kept) in enumerate(zip(layers, before, strict=True)):
        require(np.array_equal(layer, kept), f"fit_transform_series changed layer {i}")
    columns = {p.shape[1] for p in results[0]}
    require(len(columns) == 1, f"pictures of one series have {sorted(columns)} columns")
    for i, (a, b) in enumerate(zip(*results, strict=True)):
        require(np.array_equal(a, b), f"two reducers made alike give two pictures of layer {i}")
        _require_apart(a, f"layer {i} of a series")


def learns_from_batches(factory: Factory) -> None:
    """``partial_fit``, where there is one, returns the reducer; ``transform`` places any rows."""
    reducer = _make(factory)
    if not learns_from_blocks(reducer):
        return
    X = _cloud()
    before = X.copy()
    for block in (X[:30].copy(), X[30:].copy()):
        returned = reducer.partial_fit(block)
        require(returned is reducer, "partial_fit returns something else than the reducer")
    whole = _picture(reducer.transform(X.copy()), _N, "transform(X)")
    part = _picture(reducer.transform(X[10:20].copy()), 10, "transform of ten rows")
    reach = float(np.abs(whole).max()) or 1.0
    require(
        np.allclose(part, whole[10:20], atol=1e-3 * reach),
        "transform places the same rows elsewhere when they come by themselves",
    )
    _require_apart(whole, "a cloud learnt from blocks")
    again = _make(factory)
    for block in (X[:30].copy(), X[30:].copy()):
        again.partial_fit(block)
    require(
        np.array_equal(again.transform(X.copy()), whole),
        "two reducers made alike that learnt from the same blocks place the same rows differently",
    )
    columns = _fit(_make(factory), before).shape[1]
    require(
        whole.shape[1] == columns,
        f"transform gives {whole.shape[1]} columns, and fit_transform gives {columns}",
    )
    if hasattr(reducer, "labels_") and callable(getattr(reducer, "predict", None)):
        labels = np.asarray(reducer.predict(X.copy()))
        require(
            labels.shape == (_N,) and labels.dtype.kind in "iu",
            f"predict gives {labels.dtype} of shape {labels.shape}; it gives one integer a row",
        )


def _draws(name: str) -> Check:
    def check(factory: Factory) -> None:
        X = _poor_clouds()[name]
        reducer = _make(factory, n_components=2)
        try:
            value = reducer.fit_transform(X)
        except Exception as error:
            raise AssertionError(f"{name} is refused: {type(error).__name__}: {error}") from error
        picture = _picture(value, len(X), f"the picture of {name}")
        require(
            not accepts(factory, "n_components") or picture.shape[1] == 2,
            f"the picture of {name} has {picture.shape[1]} columns, not 2",
        )

    check.__doc__ = f"The picture of {name} is drawn, not refused."
    check.__name__ = f"draws_{name.replace(' ', '_')}"
    return check


REDUCER_CHECKS: dict[str, Check] = clauses(
    "reducer",
    gives_a_picture,
    takes_labels,
    keeps_rows_in_order,
    leaves_input_alone,
    takes_read_only_input,
    takes_strided_input,
    is_deterministic,
    takes_any_seed,
    leaves_global_random_state_alone,
    honours_n_components,
    constructor_only_stores,
    refitting_forgets,
    labels_fit_the_rows,
    reports_are_well_formed,
    can_be_pickled,
    small_or_poor_clouds_are_drawn_or_refused,
    uses_init,
    uses_neighbors,
    draws_a_series,
    learns_from_batches,
)
"""The clauses of a reducer's contract by name: each takes the class, and raises or returns."""

TOTAL_REDUCER_CHECKS: dict[str, Check] = clauses(
    "reducer", *(_draws(name) for name in _poor_clouds())
)
"""What built-in reducers promise besides: no cloud is refused, however small or poor."""
