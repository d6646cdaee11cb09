"""Other libraries read what is recorded: each is asked where it is installed."""

import json
import urllib.request
import warnings

import numpy as np
import pytest
import torch
from tests.recording.storage.runs import record, tree
from torch import nn

import layerlens as ll

pytestmark = [
    pytest.mark.filterwarnings("ignore:without a record"),
    # what they say of themselves
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ll.LayerlensWarning)
        path = tmp_path_factory.mktemp("readers") / "run.zarr"
        record(path)
    return path


def keys(root, group="layers"):
    about = json.loads((root / "zarr.json").read_text())["attributes"]["layerlens"]
    return {entry["name"]: entry["key"] for entry in about[group]}


def test_zarr_python(root):
    zarr = pytest.importorskip("zarr")
    acts = ll.Activations.open(root)
    before = tree(root)
    group = zarr.open_group(str(root), mode="r")
    for name, key in keys(root).items():
        np.testing.assert_array_equal(group[key][:], np.asarray(acts[name]))
        assert group[key].attrs["name"] == name
    facts = keys(root, "samples")
    assert group[facts["labels"]][:].tolist() == acts.labels.tolist()
    np.testing.assert_array_equal(group[facts["column:score"]][:], acts.columns["score"])
    # the arrays stand by themselves, too, and without the consolidated metadata
    alone = zarr.open_array(str(root / keys(root)["first"]), mode="r")
    np.testing.assert_array_equal(alone[3:7], acts["first"][3:7])
    assert sorted(zarr.open_group(str(root), mode="r", use_consolidated=False)["layers"])
    assert tree(root) == before


def test_zarr_python_notices_a_flipped_byte(tmp_path):
    zarr = pytest.importorskip("zarr")
    record(tmp_path / "a")
    chunk = next((tmp_path / "a/layers/L00000").glob("c.*"))
    content = bytearray(chunk.read_bytes())
    content[1000] ^= 4
    chunk.write_bytes(content)
    number = int(chunk.name.split(".")[1])
    array = zarr.open_array(str(tmp_path / "a/layers/L00000"), mode="r")
    size = array.chunks[0]
    with pytest.raises(ValueError, match="checksum"):
        array[number * size : number * size + 1]


def test_xarray(root):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("zarr")
    data = xarray.open_zarr(str(root), group="layers", chunks=None)
    acts = ll.Activations.open(root)
    for name, key in keys(root).items():
        array = data[key.removeprefix("layers/")]
        np.testing.assert_array_equal(array.values, np.asarray(acts[name]))
        assert array.attrs["name"] == name
    assert data["L00000"].dims[0] == "sample"
    # a layer that was not called for every sample has an axis of its own
    short = keys(root)["again:1"].removeprefix("layers/")
    assert data[short].dims[0] == f"{short}_sample"


def test_dask(root):
    array = pytest.importorskip("dask.array")
    pytest.importorskip("zarr")
    acts = ll.Activations.open(root)
    lazy = array.from_zarr(str(root / keys(root)["first"]))
    np.testing.assert_allclose(
        lazy.mean(axis=0).compute(scheduler="synchronous"),
        np.asarray(acts["first"]).mean(axis=0),
        rtol=1e-4, atol=1e-5,
    )  # fmt: skip
    assert lazy.chunks[0][0] == acts["first"]._values._array.entry.chunk


def test_tensorstore(root):
    tensorstore = pytest.importorskip("tensorstore")
    acts = ll.Activations.open(root)
    for name, key in keys(root).items():
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(root / key)}}
        array = tensorstore.open(spec, read=True, open=True).result()
        np.testing.assert_array_equal(array.read().result(), np.asarray(acts[name]))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_every_dtype(tmp_path, dtype):
    zarr = pytest.importorskip("zarr")
    acts = ll.Probe(nn.Identity(), store=tmp_path / "a", dtype=dtype).run([torch.randn(9, 5)])
    group = zarr.open_group(str(tmp_path / "a"), mode="r")
    assert group["layers/L00000"].dtype == np.dtype(dtype)
    np.testing.assert_array_equal(group["layers/L00000"][:], np.asarray(acts[""]))


def test_no_uncommitted_row_is_seen_while_it_is_written(tmp_path):
    zarr = pytest.importorskip("zarr")
    net = nn.Linear(3, 6000)
    with ll.Probe(net, store=ll.Store(tmp_path / "a", buffer=2**20), sketch=None) as probe:
        for count in range(1, 30):
            net(torch.full((3, 3), float(count)))
            if count == 1:
                continue
            probe._stored.writer.drain()
            rows = ll.Activations.open(tmp_path / "a").n_samples
            array = zarr.open_group(str(tmp_path / "a"), mode="r")
            seen = array["layers/L00000"][:] if rows else np.empty((0, 6000))
            assert len(seen) == rows
            assert not (seen == 0).all(axis=1).any()
    assert rows > 60


def test_from_an_object_store(root):
    """The tree, copied to an S3-compatible server as it is, is read from there."""
    zarr = pytest.importorskip("zarr")
    obstore = pytest.importorskip("obstore")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        store = obstore.store.S3Store(
            "bucket", endpoint=f"http://{host}:{port}", region="us-east-1", access_key_id="a",
            secret_access_key="b",  # noqa: S106
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )  # fmt: skip
        urllib.request.urlopen(
            urllib.request.Request(f"http://{host}:{port}/bucket", method="PUT")
        ).close()
        for name, content in tree(root).items():
            if not name.endswith("/"):
                obstore.put(store, f"run.zarr/{name}", content)
        there = zarr.storage.ObjectStore(store, read_only=True)
        group = zarr.open_group(there, path="run.zarr", mode="r")
        acts = ll.Activations.open(root)
        for name, key in keys(root).items():
            np.testing.assert_array_equal(group[key][:], np.asarray(acts[name]))
    finally:
        server.stop()
