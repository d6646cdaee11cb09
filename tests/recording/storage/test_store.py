"""Recording to disk, and reading what was recorded."""

import json
import pickle
import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.recording.storage.runs import batches, model, record, tree
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import layerlens as ll
from layerlens.recording.storage.tree import KEY

pytestmark = pytest.mark.filterwarnings("ignore:without a record")


def same(a, b):
    assert list(a) == list(b)
    for name in a:
        np.testing.assert_array_equal(np.asarray(a[name]), np.asarray(b[name]))
        assert a[name].info == b[name].info
        assert a[name].sketch == b[name].sketch
        assert (a[name].rows is None) == (b[name].rows is None)
        np.testing.assert_array_equal(a[name].ids, b[name].ids)
        if a[name].rows is not None:
            np.testing.assert_array_equal(a[name].rows, b[name].rows)
    for fact in ("ids", "labels", "thumbnails"):
        one, other = getattr(a, fact), getattr(b, fact)
        assert (one is None) == (other is None), fact
        if one is not None:
            assert one.dtype.kind == other.dtype.kind, fact
            np.testing.assert_array_equal(one, other)
    assert set(a.columns) == set(b.columns)
    for name, values in a.columns.items():
        assert values.dtype == b.columns[name].dtype or values.dtype.kind == "U"
        np.testing.assert_array_equal(values, b.columns[name])


def test_disk_and_memory_hold_the_same(tmp_path):
    in_memory = ll.Probe(model(), sketch=None).run(batches())
    on_disk = record(tmp_path / "run.zarr")
    same(in_memory, on_disk)
    same(in_memory, ll.Activations.open(tmp_path / "run.zarr"))
    assert on_disk.meta["complete"] is True
    assert on_disk.meta["skipped"] == in_memory.meta["skipped"] != {}
    assert on_disk.verify() == 19


def test_sketches_images_names_and_text_ids(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.Flatten())
    given = [{"input": torch.rand(9, 3, 30, 40), "ids": [f"é{i}\N{SNOWMAN}" for i in range(9)]}]
    options = {"sketch": 64, "dtype": "float16"}
    same(ll.Probe(net, **options).run(given),
         ll.Probe(net, store=tmp_path / "a", **options).run(given))  # fmt: skip


def test_own_loop(tmp_path):
    net = nn.Linear(3, 2)
    x = torch.randn(30, 3)
    with ll.Probe(net, store=str(tmp_path / "a")) as probe:
        for piece in x.split(7):
            net(piece)
        half = probe.activations
        assert half.n_samples == 30
        assert half.meta["complete"] is False
    expected = torch.cat([net(piece) for piece in x.split(7)]).detach().numpy()
    np.testing.assert_array_equal(probe.activations[""], expected)
    assert probe.activations.meta["complete"] is True
    with pytest.raises(ll.StoreError, match="complete with 30 samples"), probe:
        pass


_DTYPES = st.sampled_from(["int64", "int32", "uint8", "float32", "float64", "bool", "str", "date"])


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.lists(st.fixed_dictionaries({}, optional={
    "labels": _DTYPES, "ids": st.sampled_from(["int64", "str"]), "note": _DTYPES,
    "inputs": st.tuples(st.integers(2, 5), st.sampled_from([1, 3])),
}), min_size=1, max_size=5))  # fmt: skip
def test_facts_that_change_on_the_way_are_what_they_are_in_memory(tmp_path_factory, plan):
    def fact(number, kind):
        values = np.arange(3) + 10 * number
        if kind == "date":
            return np.array(["2020-01-01", "2021-02-03", "NaT"], "datetime64[s]")
        return (values % 2 if kind == "bool" else values).astype("U5" if kind == "str" else kind)

    kinds = {kind for facts in plan for kind in [facts.get("note"), facts.get("labels")] if kind}
    if "date" in kinds and len(kinds) > 1:
        return  # dates and numbers in one column are refused in memory too
    for name in ("note", "labels"):
        said = {facts[name] for facts in plan if name in facts}
        if "str" in said and len(said) > 2:
            return  # numbers of several dtypes, and then text: see the module
    net = nn.Identity()
    found = []
    for store in (None, tmp_path_factory.mktemp("facts") / "a"):
        with ll.Probe(net, store=store) as probe:
            for number, facts in enumerate(plan):
                said = {name: fact(number, k) for name, k in facts.items() if name != "inputs"}
                if "inputs" in facts:
                    side, colours = facts["inputs"]
                    said["inputs"] = torch.full((3, colours, side, 6 - side), 7, dtype=torch.uint8)
                probe.annotate(**said)
                net(torch.ones(3, 2))
        found.append(probe.activations)
    same(*found)


def test_slices_read_only_the_chunks_that_hold_them(tmp_path):
    acts = record(tmp_path / "a")
    layer = acts["first"]
    everything = np.asarray(layer)
    entry = layer._values._array.entry
    assert entry.n_chunks == 3
    for number in range(2, entry.n_chunks):
        (tmp_path / "a" / entry.chunk_name(number)).unlink()
    fresh = ll.Activations.open(tmp_path / "a")["first"]
    np.testing.assert_array_equal(fresh[3 : entry.chunk + 2], everything[3 : entry.chunk + 2])
    np.testing.assert_array_equal(fresh[[entry.chunk, 0, 1]], everything[[entry.chunk, 0, 1]])
    np.testing.assert_array_equal(fresh[1, 5:9], everything[1, 5:9])
    with pytest.raises(ll.StoreError, match=r"c\.2\.0.*missing"):
        fresh[:]


@pytest.mark.parametrize(
    "key",
    [3, -1, slice(2, 39, 7), slice(None, None, -3), [5, -1, 5], np.arange(40) % 2 == 0,
     (slice(1, 4), 2), ([1, 30], slice(3)), ...],
    ids=str,
)  # fmt: skip
def test_every_way_to_index_is_as_an_array_has_it(tmp_path, key):
    layer = record(tmp_path / "a")["first"]
    np.testing.assert_array_equal(layer[key], np.asarray(layer)[key])


def test_a_layer_travels_as_a_path_and_not_as_rows(tmp_path):
    layer = record(tmp_path / "a")["first"]
    sent = pickle.dumps(layer)
    assert len(sent) < layer.nbytes / 50
    np.testing.assert_array_equal(np.asarray(pickle.loads(sent)), np.asarray(layer))


def test_reducing_from_disk_is_as_from_memory(tmp_path):
    there, here = record(tmp_path / "a"), ll.Probe(model(), sketch=None).run(batches())
    one, other = (ll.reduce(acts, "pca", layers=["again", "first"]) for acts in (there, here))
    for name in one:
        np.testing.assert_array_equal(one[name].coordinates, other[name].coordinates)


HOSTILE = {
    "../../evil": "dots", "a/b": "slash", "CON": "device", "x" * 300: "long",
    "\N{GRINNING FACE}\N{RIGHT-TO-LEFT OVERRIDE}": "emoji", "C:\\x": "drive", " ": "space",
}  # fmt: skip


def test_hostile_names_are_kept_and_lead_nowhere(tmp_path):
    net = nn.Module()
    for name in HOSTILE:
        net._modules[name] = nn.Linear(3, 2)
    net.forward = lambda x: sum(module(x) for module in net._modules.values())
    outside = set(tmp_path.rglob("*"))
    root = tmp_path / "run.zarr"
    acts = ll.Probe(net, store=root).run([torch.ones(4, 3)], forward=lambda m, x: m.forward(x))
    assert list(acts) == list(HOSTILE)
    again = ll.Activations.open(root)
    for name in HOSTILE:
        expected = net._modules[name](torch.ones(4, 3)).detach().numpy()
        np.testing.assert_array_equal(again[name], expected)
        assert again[name].info.name == name
        assert name in repr(again)
    assert {p for p in tmp_path.rglob("*") if root not in (p, *p.parents)} == outside
    for path in root.rglob("*"):
        if path.is_dir() and path.parent != root:
            assert KEY.fullmatch(path.relative_to(root).as_posix())


def test_the_root_model_has_an_empty_name(tmp_path):
    net = nn.Linear(3, 2)
    assert list(ll.Probe(net, store=tmp_path / "a").run([torch.ones(2, 3)])) == [""]


def test_metadata_says_what_was_recorded(tmp_path):
    record(tmp_path / "a", readout={"first": "flatten", "*": "max"}, random_state=7)
    about = json.loads((tmp_path / "a/zarr.json").read_text())["attributes"]["layerlens"]
    assert about["spec"]["model"] == "Sometimes" and about["spec"]["random_state"] == 7
    assert about["spec"]["weights"].startswith("sha256 ")
    assert about["spec"]["readout"] == {"first": "flatten", "*": "max"}
    assert about["rows"] == 40 and about["complete"] is True and about["version"] == 1
    assert set(about["about"]["versions"]) == {"layerlens", "numpy", "torch"}


def test_no_metadata_holds_an_address(tmp_path):
    for name in ("a", "b"):
        readout = lambda output: output.flatten(1)  # noqa: E731
        record(tmp_path / name, layers=lambda n, m: n == "first", readout=readout)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_a_buffer_that_is_no_size_is_refused():
    with pytest.raises(ll.ArgumentError, match=r"buffer is a size, such as .512 MiB.*got 'much'"):
        ll.Store("a", buffer="much")
    assert ll.Store("a", buffer="1.5 GiB").buffer == 3 * 2**29


def test_many_files_are_announced(tmp_path, monkeypatch):
    monkeypatch.setattr("layerlens.recording.storage.writer.MANY_FILES", 5)
    with pytest.warns(ll.LayerlensWarning, match="about .* files: .* layers, 40 samples"):
        ll.Probe(model(), store=ll.Store(tmp_path / "a", buffer=2**20), sketch=None).run(
            torch.randn(40, 4)
        )


def test_what_cannot_be_stored_is_refused_before_the_batch_counts(tmp_path):
    with pytest.raises(ll.ArgumentError, match="note has dtype complex128"):  # noqa: SIM117
        with ll.Probe(nn.Identity(), store=tmp_path / "a") as probe:
            probe.annotate(note=np.ones(2, complex))
            probe.model(torch.ones(2, 2))
    assert ll.Activations.open(tmp_path / "a").n_samples == 0


def test_loader_with_workers(tmp_path):
    data = TensorDataset(torch.randn(50, 4), torch.arange(50))
    loader = DataLoader(data, batch_size=8, num_workers=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads
        acts = ll.Probe(nn.Identity(), store=tmp_path / "a").run(loader)
    np.testing.assert_array_equal(acts[""], data.tensors[0].numpy())
    assert acts.labels.tolist() == list(range(50))
