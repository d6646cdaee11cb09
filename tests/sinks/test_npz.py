"""The archive holds everything, bit for bit, and needs no pickle to be read."""

import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import layerlens as ll
from layerlens.errors import StoreError
from layerlens.sinks import npz
from layerlens.sinks.npz import NpzSink, _decode, _encode


def _same(a, b):
    if a is None or b is None:
        assert a is b
        return
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    assert a.tobytes() == b.tobytes()


@pytest.fixture
def rich():
    """A result with all that there can be, and names that nobody foresaw."""
    rng = np.random.default_rng(0)
    names = ["", "a/b", "../x", "é立🙂", "con", "x" * 400, "\x00\n"]
    infos = {
        name: ll.LayerInfo(name, "Conv2d", 100, 64, (4, 5), '["aux"]', "token:0") for name in names
    }
    n = 9
    run = ll.RunInfo(
        layers=infos,
        ids=np.array([f"id-{i}🙂" for i in range(n)]),
        labels=np.arange(n, dtype=np.int16) - 1,
        label_names=("", "ж", "🙂"),
        thumbnails=rng.integers(0, 256, (n, 4, 3, 3), dtype=np.uint8),
        columns={
            "": np.arange(n) > 3,
            "t": np.arange(n).astype("datetime64[s]"),
            "loss": np.array([np.nan, np.inf, -0.0, *rng.normal(size=n - 3)]),
        },
        created="2026-01-01T00:00:00Z",
        versions={"torch": "2.6", "": "🙂"},
    )
    layers = []
    for i, name in enumerate(names):
        rows = np.array([3, 1, 8]) if i == 2 else None
        m = n if rows is None else 3
        layers.append(
            ll.LayerEmbedding(
                name,
                i,
                np.asfortranarray(rng.normal(size=(m, 2)).astype(np.float32)),
                run,
                clusters=np.arange(m, dtype=np.int32) if i else None,
                metrics={"kl": 1 / 3, "": float("nan"), "inf": float("inf")} if i else {},
                stress=rng.uniform(size=m).astype(np.float32) if i % 2 else None,
                reducer="acme.ü",
                params={"a": [1, 2.5, None, True, "x"], "nan": float("nan"), "notes": ["n🙂"]},
                rows=rows,
                neighbors=(np.arange(m, dtype=np.int32)[:, None] + [1, 2]).astype(np.int32) % m
                if i != 1
                else None,
                spread=rng.uniform(size=m).astype(np.float32) if i % 3 == 0 else None,
            )
        )
    return ll.Embeddings(layers)


def test_what_is_read_is_what_was_written(rich, tmp_path):
    rich.save(tmp_path / "r.npz")
    read = ll.Embeddings.load(tmp_path / "r.npz")
    assert list(read) == list(rich)
    assert read.run.layers == rich.run.layers
    assert list(read.run.layers) == list(rich.run.layers)
    assert read.run.label_names == rich.run.label_names
    assert (read.run.created, read.run.versions) == (rich.run.created, rich.run.versions)
    for name in ("ids", "labels", "thumbnails"):
        _same(getattr(read.run, name), getattr(rich.run, name))
    assert list(read.run.columns) == list(rich.run.columns)
    for name in rich.run.columns:
        _same(read.run.columns[name], rich.run.columns[name])
    for name, layer in rich.items():
        other = read[name]
        assert other.run is read.run
        assert (other.layer, other.index, other.reducer) == (name, layer.index, layer.reducer)
        for array in ("clusters", "stress", "rows", "neighbors", "spread"):
            _same(getattr(other, array), getattr(layer, array))
        np.testing.assert_array_equal(other.coordinates, layer.coordinates)
        assert other.coordinates.dtype == np.float32
        assert repr(other.metrics) == repr(layer.metrics)
        assert repr(other.params) == repr(layer.params)


@pytest.mark.parametrize(("n", "dtype"), [(40, "u1"), (256, "u1"), (257, "u2"), (70_000, "u4")])
def test_neighbours_lie_in_the_smallest_integers_and_come_back_as_int32(n, dtype, tmp_path):
    run = ll.RunInfo(layers={"a": ll.LayerInfo("a")}, ids=np.arange(n))
    near = ((np.arange(n)[:, None] + [1, n - 1]) % n).astype(np.int32)
    layer = ll.LayerEmbedding("a", 0, np.zeros((n, 2), np.float32), run, neighbors=near)
    path = ll.Embeddings([layer]).save(tmp_path / "r.npz")
    with np.load(path) as archive:
        assert archive["layers/0/neighbors"].dtype == np.dtype(dtype)
    _same(ll.Embeddings.load(path)["a"].neighbors, near)


def test_a_file_from_before_there_were_neighbours_and_spread_is_read(rich, tmp_path):
    path = rich.save(tmp_path / "r.npz")
    with zipfile.ZipFile(path) as new, zipfile.ZipFile(tmp_path / "old.npz", "w") as old:
        for name in new.namelist():
            if not name.endswith(("/neighbors.npy", "/spread.npy")):
                old.writestr(name, new.read(name))
    read = ll.Embeddings.load(tmp_path / "old.npz")
    assert all(layer.neighbors is None and layer.spread is None for layer in read.values())
    _same(read["a/b"].stress, rich["a/b"].stress)


@pytest.mark.parametrize("near", [[[1], [2]], [[1], [2], [-1]], [[1], [2], [3]], [[0.5]] * 3])
def test_neighbours_that_are_no_rows_are_refused_written_and_read(near, tmp_path, monkeypatch):
    run = ll.RunInfo(layers={"a": ll.LayerInfo("a")}, ids=np.arange(3))
    layer = ll.LayerEmbedding("a", 0, np.zeros((3, 2), np.float32), run, neighbors=np.asarray(near))
    with pytest.raises(StoreError, match=r"neighbors of the layer 'a'.*integers from 0 to 2"):
        ll.Embeddings([layer]).save(tmp_path / "r.npz")
    assert list(tmp_path.iterdir()) == []
    with monkeypatch.context() as careless:
        careless.setattr(npz, "_smallest", lambda neighbors, *_: neighbors)
        ll.Embeddings([layer]).save(tmp_path / "r.npz")
    with pytest.raises(StoreError, match="neighbors are not rows of the layer"):
        ll.Embeddings.load(tmp_path / "r.npz")


def test_numpy_alone_reads_every_array_without_pickle(rich, tmp_path):
    rich.save(tmp_path / "r.npz")
    with np.load(tmp_path / "r.npz", allow_pickle=False) as archive:
        arrays = {k: archive[k] for k in archive.files if not k.endswith(".json")}
        np.testing.assert_array_equal(arrays["layers/1/coordinates"], rich["a/b"].coordinates)
        content = json.loads(archive["layerlens.json"])
    assert content["version"] == 1
    assert [layer["layer"] for layer in content["layers"]] == list(rich)


def test_no_name_becomes_a_path_in_the_archive(rich, tmp_path):
    rich.save(tmp_path / "r.npz")
    for member in zipfile.ZipFile(tmp_path / "r.npz").namelist():
        assert member == "layerlens.json" or member.removesuffix(".npy").replace("/", "").isalnum()


def test_the_same_result_gives_the_same_bytes(rich, tmp_path):
    rich.save(tmp_path / "a.npz")
    rich.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_uncompressed_is_larger_and_reads_the_same(make_result, tmp_path):
    result = make_result(n=5000, labels=np.zeros(5000, int))
    small, large = (
        result.save(tmp_path / f"{c}.npz", compress=c).stat().st_size for c in (True, False)
    )
    assert small < large
    np.testing.assert_array_equal(
        ll.Embeddings.load(tmp_path / "False.npz")["fc"].coordinates, result["fc"].coordinates
    )


def test_strings_in_object_arrays_are_written_as_strings(make_result, tmp_path):
    result = make_result(n=2, ids=np.array(["a", "bcd"], dtype=object))
    result.save(tmp_path / "r.npz")
    assert ll.Embeddings.load(tmp_path / "r.npz").ids.tolist() == ["a", "bcd"]


def test_objects_are_refused_by_name_and_nothing_is_written(make_result, tmp_path):
    result = make_result(n=2, columns={"c": np.array([{}, None], dtype=object)})
    with pytest.raises(
        StoreError, match=r"the column 'c' is an array of objects \(NoneType, dict\)"
    ):
        result.save(tmp_path / "r.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_parameter_that_json_does_not_have_is_named(make_result, tmp_path):
    layer = make_result()["fc"]
    odd = ll.LayerEmbedding("fc", 0, layer.coordinates, layer.run, params={"metric": len})
    with pytest.raises(StoreError, match=r"params of the layer 'fc' holds .* builtin_function"):
        ll.Embeddings([odd]).save(tmp_path / "r.npz")


def test_layers_of_two_runs_are_refused(make_result, tmp_path):
    with NpzSink(tmp_path / "r.npz") as sink:
        sink.write(make_result()["fc"])
        other = make_result()["conv1"]
        with pytest.raises(StoreError, match="another run"):
            sink.write(other)
    assert list(ll.Embeddings.load(tmp_path / "r.npz")) == ["fc"]


def test_an_empty_block_is_refused(tmp_path):
    with pytest.raises(StoreError, match="no layer came"), NpzSink(tmp_path / "r.npz"):
        pass
    assert list(tmp_path.iterdir()) == []


def _rewritten(source, target, change):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "layerlens.json":
                content = json.loads(data)
                change(content)
                data = json.dumps(content).encode()
            new.writestr(name, data)


def test_a_newer_file_asks_for_an_upgrade(make_result, tmp_path):
    make_result().save(tmp_path / "r.npz")
    # 1 was the first
    _rewritten(tmp_path / "r.npz", tmp_path / "o.npz", lambda c: c.update(version=0))
    with pytest.raises(StoreError, match=r"o\.npz' is broken: its schema version is 0"):
        ll.Embeddings.load(tmp_path / "o.npz")
    _rewritten(tmp_path / "r.npz", tmp_path / "n.npz", lambda c: c.update(version=2))
    with pytest.raises(StoreError, match=r"schema version 2.*pip install -U torch-layerlens"):
        ll.Embeddings.load(tmp_path / "n.npz")


def test_unknown_facts_of_layers_are_passed_over(make_result, tmp_path):
    make_result().save(tmp_path / "r.npz")
    _rewritten(
        tmp_path / "r.npz",
        tmp_path / "n.npz",
        lambda c: c["run"]["layers"][0][1].update(invented_later=1),
    )
    assert list(ll.Embeddings.load(tmp_path / "n.npz")) == ["input", "conv1", "fc"]


def test_foreign_missing_and_broken_files_are_told_apart(make_result, tmp_path):
    np.savez(tmp_path / "foreign.npz", a=np.zeros(3))
    (tmp_path / "text.npz").write_text("no zip at all")
    with pytest.raises(StoreError, match=r"not one of layerlens's.*a\.npy"):
        ll.Embeddings.load(tmp_path / "foreign.npz")
    with pytest.raises(StoreError, match="there is no file"):
        ll.Embeddings.load(tmp_path / "missing.npz")
    with pytest.raises(StoreError, match="broken"):
        ll.Embeddings.load(tmp_path / "text.npz")
    with pytest.raises(StoreError):
        ll.Embeddings.load(tmp_path / "text.npz" / "below.npz")


def test_a_file_cut_short_or_changed_anywhere_never_passes_for_whole(make_result, tmp_path):
    whole = make_result(n=6).save(tmp_path / "r.npz").read_bytes()
    original = ll.Embeddings.load(tmp_path / "r.npz")
    rng = np.random.default_rng(0)
    refused = 0
    for i in range(150):
        data = bytearray(whole)
        if i % 2:
            del data[int(rng.integers(len(data))) :]
        else:
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        (tmp_path / "b.npz").write_bytes(data)
        try:
            read = ll.Embeddings.load(tmp_path / "b.npz")
        except StoreError:
            refused += 1
        else:  # a date or a mode: nothing that is read
            for name, layer in original.items():
                np.testing.assert_array_equal(read[name].coordinates, layer.coordinates)
    assert refused > 100


def test_pickled_arrays_are_never_loaded(make_result, tmp_path):
    make_result().save(tmp_path / "r.npz")
    bomb = tmp_path / "bomb.npy"
    np.save(bomb, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with (
        zipfile.ZipFile(tmp_path / "r.npz") as old,
        zipfile.ZipFile(tmp_path / "p.npz", "w") as new,
    ):
        for name in old.namelist():
            new.writestr(name, bomb.read_bytes() if name == "run/ids.npy" else old.read(name))
    with pytest.raises(StoreError, match="allow_pickle"):
        ll.Embeddings.load(tmp_path / "p.npz")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["$float", "$map"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(_json)
def test_every_value_of_json_s_types_comes_back(value):
    text = json.dumps(_encode(value, "it"), allow_nan=False)
    assert repr(_decode(json.loads(text))) == repr(value)


def test_a_flipped_bit_anywhere_changes_nothing_of_what_is_read_or_is_an_error(tmp_path):
    cloud = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    acts = ll.Activations.of({"a": cloud}, labels=np.arange(5))
    path = tmp_path / "a.npz"
    ll.reduce(acts, "pca", metrics=False, keep_neighbors=0).save(path)
    content = path.read_bytes()
    names = [i for i in range(len(content)) if content.startswith(b"run/labels.npy", i)]
    assert len(names) == 2  # before the array, and in the table of contents
    for place in (*names, names[1] + 4, *range(0, len(content), 40)):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        try:
            found = ll.Embeddings.load(path)
        except StoreError:
            continue
        assert place not in names
        assert found.labels.tolist() == [0, 1, 2, 3, 4]
        assert found["a"].coordinates.shape == (5, 2)
