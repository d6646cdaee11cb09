"""Every clause of the kit catches a defect planted for it, and passes what keeps the contract."""

# ruff: noqa: NPY002 -- defects use the global random state on purpose

import functools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.random_projection import GaussianRandomProjection

import layerlens as ll
from layerlens.testing import (
    REDUCER_CHECKS,
    SINK_CHECKS,
    TOTAL_REDUCER_CHECKS,
    check_reducer,
    check_sink,
)


class Able(BaseEstimator):
    """Principal axes, with every ability that a reducer can have, and no defect."""

    def __init__(self, n_components=2, random_state=0):
        self.n_components = n_components
        self.random_state = random_state

    def _axes(self, X):
        X = np.asarray(X, dtype=np.float64)
        centred = X - X.mean(axis=0)
        u, s, _ = np.linalg.svd(centred, full_matrices=False)
        out = np.zeros((len(X), self.n_components))
        kept = min(self.n_components, len(s))
        out[:, :kept] = u[:, :kept] * s[:kept]
        return out

    def fit_transform(self, X, y=None, *, init=None, neighbors=None):
        out = self._axes(X)
        if init is not None:
            out += 1e-3 * init
        if neighbors is not None:
            out += 1e-3 * out[neighbors[0]].mean(axis=1)
        self.labels_ = (out[:, 0] > 0).astype(int)
        self.notes_ = ["none"]
        self.metrics_ = {"variance": float(out.var())}
        return out

    def n_neighbors_needed(self, n_samples):
        return min(5, n_samples - 1)

    def fit_transform_series(self, layers, y=None):
        return [self._axes(X) for X in layers]

    def partial_fit(self, X, y=None):
        if not hasattr(self, "pca_"):
            self.pca_ = IncrementalPCA(self.n_components)
        self.pca_.partial_fit(X)
        return self

    def transform(self, X):
        return self.pca_.transform(X)


@pytest.mark.parametrize("check", REDUCER_CHECKS.values(), ids=REDUCER_CHECKS)
@pytest.mark.parametrize(
    "reducer", [Able, PCA, IncrementalPCA, functools.partial(PCA, whiten=True)]
)
def test_a_sound_reducer_passes(reducer, check):
    check(reducer)


def test_a_reducer_with_every_ability_draws_every_cloud():
    check_reducer(Able, total=True)


def _able(**methods):
    """Return a class that is `Able` but for these methods."""
    return type("Broken", (Able,), methods)


def _drawing(change):
    """Return a class whose picture is changed on the way out."""

    def fit_transform(self, X, y=None):
        return change(self, np.asarray(X), Able.fit_transform(self, X))

    return _able(fit_transform=fit_transform)


def _writes_labels(self, X, y=None):
    if y is not None:
        y[0] = 7
    return Able.fit_transform(self, X)


def _writes_input(self, X, y=None):
    out = Able.fit_transform(self, X)
    if X.flags.writeable:
        X -= X.mean(axis=0)
    return out


def _needs_writable(self, X, y=None):
    X[0, 0] = X[0, 0]
    return Able.fit_transform(self, X)


def _ignores_strides(self, X, y=None):
    if X.flags.c_contiguous:
        return Able.fit_transform(self, X)
    whole = X if X.base is None else X.base
    wrong = whole.ravel(order="K")[: X.size].reshape(X.shape)
    return Able.fit_transform(self, wrong)


class Slotted:
    __slots__ = ("n_components", "random_state")
    __init__ = Able.__init__

    def fit_transform(self, X, y=None):
        return Able(self.n_components, self.random_state)._axes(X)


def _uses_global_state(self, X, y=None):
    return Able.fit_transform(self, X) + np.random.normal(size=(len(X), 1))


def _only_small_seeds(self, X, y=None):
    if self.random_state > 1000:
        raise OverflowError("seed")
    return Able.fit_transform(self, X)


def _seeds_globally(self, X, y=None):
    np.random.seed(self.random_state)
    return Able.fit_transform(self, X)


def _eager(self, n_components=2, random_state=0):
    Able.__init__(self, n_components, random_state)
    self.components_ = None


def _rounding(self, n_components=2, random_state=0):
    Able.__init__(self, n_components, [random_state])


def _remembers(self, X, y=None):
    self.seen = getattr(self, "seen", 0) + 1
    return Able.fit_transform(self, X) * self.seen


BUFFER = np.zeros((60, 2))


def _returns_a_shared_buffer(self, X, y=None):
    BUFFER[: len(X), : self.n_components] = Able.fit_transform(self, X)
    return BUFFER[: len(X)]


def _sets(**attributes):
    def change(self, X, out):
        for name, value in attributes.items():
            setattr(self, name, value(X) if callable(value) else value)
        return out

    return _drawing(change)


def _raises(error):
    def fit_transform(self, X, y=None):
        if len(np.unique(X, axis=0)) < 6:
            raise error
        return Able.fit_transform(self, X)

    return _able(fit_transform=fit_transform)


def _unpicklable(self, n_components=2, random_state=0):
    Able.__init__(self, n_components, random_state)
    self.function = lambda: None


def _ignores_init(self, X, y=None, *, init=None):
    return Able.fit_transform(self, X)


def _writes_init(self, X, y=None, *, init=None):
    if init is not None:
        init.setflags(write=True)
        init *= 2
    return Able.fit_transform(self, X, init=init)


def _ignores_neighbors(self, X, y=None, *, neighbors=None):
    return Able.fit_transform(self, X)


def _series(change):
    return _able(fit_transform_series=lambda self, layers, y=None: change(self, layers))


def _writes_series(self, layers):
    pictures = [self._axes(X) for X in layers]
    layers[1][:] = 0
    return pictures


def _needs_batch(self, X):
    return X[:, :2] - X[:, :2].mean(axis=0)


_NAN = float("nan")
REDUCER_DEFECTS = [
    ("gives_a_picture", _drawing(lambda self, X, out: out.tolist())),
    ("gives_a_picture", _drawing(lambda self, X, out: out.astype(int))),
    ("gives_a_picture", _drawing(lambda self, X, out: out[:-1])),
    ("gives_a_picture", _drawing(lambda self, X, out: out[:, 0])),
    ("gives_a_picture", _drawing(lambda self, X, out: np.where(out > 0, out, _NAN))),
    ("takes_labels", _able(fit_transform=_writes_labels)),
    ("takes_labels", _able(fit_transform=lambda self, X: Able.fit_transform(self, X))),
    ("keeps_rows_in_order", _drawing(lambda self, X, out: out[np.argsort(out[:, 0])])),
    ("keeps_rows_in_order", _drawing(lambda self, X, out: np.ones_like(out))),
    ("leaves_input_alone", _able(fit_transform=_writes_input)),
    ("leaves_input_alone", _able(fit_transform=lambda self, X, y=None: X[:, :2])),
    ("takes_read_only_input", _able(fit_transform=_needs_writable)),
    ("takes_strided_input", _able(fit_transform=_ignores_strides)),
    ("is_deterministic", _able(fit_transform=_uses_global_state)),
    ("takes_any_seed", _able(fit_transform=_only_small_seeds)),
    ("leaves_global_random_state_alone", _able(fit_transform=_seeds_globally)),
    ("honours_n_components", _drawing(lambda self, X, out: out[:, :2])),
    ("constructor_only_stores", _able(__init__=_eager)),
    ("constructor_only_stores", _able(__init__=_rounding)),
    ("refitting_forgets", _able(fit_transform=_remembers)),
    ("refitting_forgets", _able(fit_transform=_returns_a_shared_buffer)),
    ("labels_fit_the_rows", _sets(labels_=np.zeros(3, dtype=int))),
    ("labels_fit_the_rows", _sets(labels_=lambda X: np.full(len(X), "a"))),
    ("reports_are_well_formed", _sets(notes_="a note")),
    ("reports_are_well_formed", _sets(notes_=[1])),
    ("reports_are_well_formed", _sets(metrics_={"kl": "small"})),
    ("can_be_pickled", _able(__init__=_unpicklable)),
    ("small_or_poor_clouds_are_drawn_or_refused", _raises(ZeroDivisionError("division"))),
    ("small_or_poor_clouds_are_drawn_or_refused", _raises(ValueError(""))),
    (
        "small_or_poor_clouds_are_drawn_or_refused",
        _drawing(lambda self, X, out: out / np.ptp(X[:, :1]) if np.ptp(X) else out * _NAN),
    ),
    ("uses_init", _able(fit_transform=_ignores_init)),
    ("uses_init", _able(fit_transform=_writes_init)),
    ("uses_neighbors", _able(fit_transform=_ignores_neighbors)),
    ("uses_neighbors", _able(n_neighbors_needed=lambda self, n: 90)),
    ("draws_a_series", _series(lambda self, layers: [self._axes(layers[0])])),
    ("draws_a_series", _series(lambda self, layers: [self._axes(X)[:9] for X in layers])),
    (
        "draws_a_series",
        _series(lambda self, layers: [np.sort(self._axes(X), axis=0) for X in layers]),
    ),
    ("draws_a_series", _series(_writes_series)),
    (
        "draws_a_series",
        _series(lambda self, layers: [self._axes(X) + np.random.normal() for X in layers]),
    ),
    ("learns_from_batches", _able(partial_fit=lambda self, X, y=None: None)),
    ("learns_from_batches", _able(transform=_needs_batch)),
    ("learns_from_batches", _able(transform=lambda self, X: Able.transform(self, X)[:, :1])),
    (
        "learns_from_batches",
        _able(labels_=np.zeros(60, int), predict=lambda self, X: np.zeros(len(X))),
    ),
]


@pytest.mark.parametrize(("clause", "defect"), REDUCER_DEFECTS)
def test_a_defect_in_a_reducer_is_caught_and_named(clause, defect):
    with np.errstate(all="ignore"), pytest.raises(AssertionError):
        REDUCER_CHECKS[clause](defect)


def test_every_clause_for_reducers_has_a_defect_that_it_catches():
    assert {clause for clause, _ in REDUCER_DEFECTS} == set(REDUCER_CHECKS)


@pytest.mark.parametrize("clause", TOTAL_REDUCER_CHECKS)
def test_a_refusal_is_caught_where_every_cloud_is_promised(clause):
    def refuses(self, X, y=None):
        raise ValueError("too few")

    with pytest.raises(AssertionError, match="refused: ValueError: too few"):
        TOTAL_REDUCER_CHECKS[clause](_able(fit_transform=refuses))


def test_a_broken_clause_is_named_with_its_words_and_the_reducer():
    broken = _able(fit_transform=_seeds_globally)
    with pytest.raises(AssertionError) as caught:
        check_reducer(broken)
    message = str(caught.value)
    assert "the reducer Broken breaks the clause leaves_global_random_state_alone" in message
    assert "NumPy's global random state is the same afterwards" in message


def test_a_constant_seed_is_found_though_the_clauses_before_left_it_behind():
    def seeds(self, X, y=None):
        np.random.seed(1)
        return Able.fit_transform(self, X)

    with pytest.raises(AssertionError, match="leaves_global_random_state_alone"):
        check_reducer(_able(fit_transform=seeds))


def test_a_reducer_of_slots_keeps_the_contract():
    check_reducer(Slotted)


def test_a_transformer_whose_own_number_of_components_is_none_for_pictures_is_made_with_two():
    check_reducer(GaussianRandomProjection)


def test_an_error_inside_of_a_clause_is_an_assertion_error_with_its_cause():
    def fails(self, X, y=None):
        raise RuntimeError("no such kernel")

    with pytest.raises(AssertionError, match=r"gives_a_picture.*no such kernel") as caught:
        check_reducer(_able(fit_transform=fails))
    assert isinstance(caught.value.__cause__, RuntimeError)


class Sound:
    """A sink of a few lines without a defect."""

    suffixes = (".txt",)

    def __init__(self, path, *, digits=4):
        self.path = ll.sinks.factory("csv")(path).path
        self.digits = digits
        self.lines = None

    def __enter__(self):
        self.lines = []
        return self

    def write(self, embedding, /):
        if self.lines is None:
            raise ValueError("not open")
        self.lines.append(f"{embedding.layer!r} {embedding.coordinates.round(self.digits)}")

    def __exit__(self, kind, error, traceback):
        lines, self.lines = self.lines, None
        if kind is None:
            self.finish("\n".join(lines))

    def finish(self, text):
        Path(self.path).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("check", SINK_CHECKS.values(), ids=SINK_CHECKS)
@pytest.mark.parametrize("sink", [Sound, functools.partial(Sound, digits=2)])
def test_a_sound_sink_passes(sink, check):
    check(sink)


def _sink(**changes):
    return type("Broken", (Sound,), changes)


def _opens_at_once(self, path, **options):
    Sound.__init__(self, path)
    Path(path).touch()


def _takes_anything(self, path, **options):
    Sound.__init__(self, path)


def _only_str(self, path):
    Sound.__init__(self, path)
    if not isinstance(path, str):
        raise TypeError("str")


def _beside(self, text):
    Sound.finish(self, text)
    Sound.finish(type("S", (), {"path": f"{self.path}.bak"}), text)


def _appends(self, text):
    if not Path(self.path).exists():
        Sound.finish(self, text)


def _writes_at_once(self, embedding, /):
    Sound.write(self, embedding)
    self.finish("\n".join(self.lines))


def _always_finishes(self, kind, error, traceback):
    self.finish("\n".join(self.lines or ["nothing"]))
    self.lines = None


def _deletes_on_failure(self, kind, error, traceback):
    if kind is None:
        Sound.__exit__(self, kind, error, traceback)
    else:
        Path(self.path).unlink(missing_ok=True)


def _swallows(self, kind, error, traceback):
    Sound.__exit__(self, kind, error, traceback)
    return True


def _makes_folders(self, text):
    path = Path(self.path)
    path.parent.mkdir(exist_ok=True)
    Sound.finish(self, text)


def _stays_open(self, kind, error, traceback):
    if kind is None:
        self.finish("\n".join(self.lines))


def _last_layer_only(self, embedding, /):
    Sound.write(self, embedding)
    self.lines = self.lines[-1:]


def _scales_in_place(self, embedding, /):
    Sound.write(self, embedding)
    embedding.coordinates[...] *= 2


def _writes(action):
    def write(self, embedding, /):
        Sound.write(self, embedding)
        action(embedding)

    return _sink(write=write)


def _ascii(embedding):
    embedding.layer.encode("ascii")


def _two_dimensions(embedding):
    _, _ = embedding.coordinates.T


def _integer_labels(embedding):
    labels = embedding.run.labels
    if labels is not None:
        np.bincount(labels + 1)


def _all_rows(embedding):
    np.column_stack([embedding.run.ids, embedding.coordinates])


def _needs_metrics(embedding):
    embedding.metrics["trustworthiness"]


def _divides_by_extent(embedding):
    if np.ptp(embedding.coordinates) == 0:
        raise ZeroDivisionError


def _json_ids(embedding):
    json.dumps(dict(embedding.run.columns))


SINK_DEFECTS = [
    ("suffixes_are_well_formed", _sink(suffixes=[".txt"])),
    ("suffixes_are_well_formed", _sink(suffixes=("txt",))),
    ("suffixes_are_well_formed", _sink(suffixes=(".TXT",))),
    ("suffixes_are_well_formed", _sink(suffixes=(".a", ".a"))),
    ("constructor_touches_nothing", _sink(__init__=_opens_at_once)),
    ("refuses_unknown_options", _sink(__init__=_takes_anything)),
    ("block_returns_the_sink", _sink(__enter__=lambda self: None)),
    ("writes_for_every_suffix", _sink(finish=lambda self, text: None)),
    ("writes_for_every_suffix", _sink(finish=_beside)),
    ("takes_a_path_or_a_str", _sink(__init__=_only_str)),
    ("nothing_shows_before_the_end", _sink(write=_writes_at_once)),
    ("replaces_an_old_file", _sink(finish=_appends)),
    ("leaves_nothing_after_an_exception", _sink(__exit__=_always_finishes)),
    ("leaves_nothing_after_an_exception", _sink(__exit__=_swallows)),
    ("keeps_the_old_file_after_an_exception", _sink(__exit__=_deletes_on_failure)),
    ("missing_folder_is_an_oserror", _sink(finish=_makes_folders)),
    ("refuses_to_write_outside_of_the_block", _sink(__exit__=_stays_open)),
    ("every_layer_is_written", _sink(write=_last_layer_only)),
    ("leaves_layers_alone", _sink(write=_scales_in_place)),
    ("takes_any_name", _writes(_ascii)),
    ("takes_any_number_of_components", _writes(_two_dimensions)),
    ("takes_any_labels", _writes(_integer_labels)),
    ("takes_layers_of_other_rows", _writes(_all_rows)),
    ("takes_clusters_thumbnails_and_columns", _writes(_needs_metrics)),
    ("takes_clusters_thumbnails_and_columns", _writes(_json_ids)),
    ("takes_a_dot", _writes(_divides_by_extent)),
]


@pytest.mark.parametrize(("clause", "defect"), SINK_DEFECTS)
def test_a_defect_in_a_sink_is_caught(clause, defect):
    with pytest.raises(AssertionError):
        SINK_CHECKS[clause](defect)


def test_every_clause_for_sinks_has_a_defect_that_it_catches():
    assert {clause for clause, _ in SINK_DEFECTS} == set(SINK_CHECKS)


def test_a_sink_without_suffixes_is_told_so():
    class Without:
        def __init__(self, path):
            pass

    with pytest.raises(AssertionError, match="no class attribute suffixes"):
        check_sink(Without)


def test_the_kit_holds_without_assertions():
    """Python -O leaves `assert` out; the kit must not rest on it."""
    code = (
        "from layerlens.testing import check_reducer\n"
        "class Broken:\n"
        "    def fit_transform(self, X, y=None): return X[:3]\n"
        "try: check_reducer(Broken)\n"
        "except AssertionError: print('caught')\n"
    )
    done = subprocess.run(
        [sys.executable, "-O", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "caught\n"


@pytest.mark.parametrize(
    ("check", "given", "remedy"),
    [
        (check_reducer, "pca", r"what makes a reducer.* layerlens.reducers.factory\('pca'\)"),
        (check_reducer, PCA(2), r"got PCA\(n_components=2\): pass its class"),
        (check_sink, None, "what makes a sink.* got None: pass its class"),
    ],
)
def test_what_makes_nothing_is_refused_before_any_clause(check, given, remedy):
    with pytest.raises(ll.ArgumentError, match=remedy):
        check(given)
