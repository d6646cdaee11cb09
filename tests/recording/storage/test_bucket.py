"""Stores elsewhere: a copy in an S3-compatible server, on a web server, in obstore's memory."""

import functools
import http.server
import threading
import urllib.request

import numpy as np
import pytest
import torch
from tests.recording.storage.runs import record, tree
from torch import nn

import layerlens as ll
from layerlens.cli import main
from layerlens.recording.storage.bucket import Bucket, is_url

pytestmark = pytest.mark.filterwarnings("ignore:without a record")


@pytest.fixture
def obstore():
    return pytest.importorskip("obstore")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    import warnings

    path = tmp_path_factory.mktemp("bucket") / "run.zarr"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ll.LayerlensWarning)
        record(path)
    return path


@pytest.fixture(scope="module")
def server(root):
    """An S3-compatible server that has a copy of the store; it answers over the network."""
    obstore = pytest.importorskip("obstore")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    urllib.request.urlopen(
        urllib.request.Request(f"http://{host}:{port}/bucket", method="PUT")
    ).close()
    put(obstore, s3(obstore, url, "data/run.zarr"), root)
    yield url
    server.stop()


def s3(obstore, url, prefix):
    return obstore.store.S3Store(
        "bucket", prefix=prefix, endpoint=url, region="us-east-1", access_key_id="a",
        secret_access_key="b", virtual_hosted_style_request=False,  # noqa: S106
        client_options={"allow_http": True}, retry_config={"max_retries": 0},
    )  # fmt: skip


def put(obstore, store, root, prefix=""):
    for name, content in tree(root).items():
        if not name.endswith("/"):
            obstore.put(store, prefix + name, content)


def equal(there, here):
    assert list(there) == list(here)
    for name, layer in here.items():
        np.testing.assert_array_equal(np.asarray(there[name]), np.asarray(layer))
        np.testing.assert_array_equal(there[name][2:5], layer[2:5])
        assert there[name].info == layer.info
    np.testing.assert_array_equal(there.ids, here.ids)
    np.testing.assert_array_equal(there.labels, here.labels)
    assert there.meta["complete"] == here.meta["complete"]


def test_a_store_of_obstore(obstore, server, root):
    acts = ll.Activations.open(s3(obstore, server, "data/run.zarr"))
    equal(acts, ll.Activations.open(root))
    assert acts.meta["store"] == "S3Store:bucket/data/run.zarr"
    assert acts.verify() == ll.Activations.open(root).verify() > 10


def test_a_url_with_what_the_environment_says(obstore, server, root, monkeypatch, capsys):
    for name, value in {
        "AWS_ENDPOINT": server, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    url = "s3://bucket/data/run.zarr"
    acts = ll.Activations.open(url)
    equal(acts, ll.Activations.open(root))
    assert acts.meta["store"] == url
    assert acts.verify()
    assert main(["show", url, "--verify"]) == 0
    said = capsys.readouterr().out
    assert f"{url}: complete, 40 samples" in said
    assert "files are whole" in said
    with pytest.raises(ll.StoreError, match=r"no store at 's3://bucket/data/other.zarr'"):
        ll.Activations.open("s3://bucket/data/other.zarr")


def test_a_web_server(obstore, root):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(root.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}/run.zarr"
            equal(ll.Activations.open(url), ll.Activations.open(root))
        finally:
            server.shutdown()


def test_a_file_url_is_a_folder(root):
    acts = ll.Activations.open(root.as_uri())
    assert acts.meta["store"] == str(root)


def test_only_what_is_asked_for_is_read(obstore, root, monkeypatch):
    memory = obstore.store.MemoryStore()
    put(obstore, memory, root)
    acts = ll.Activations.open(memory)
    read = []
    original = Bucket.read
    monkeypatch.setattr(
        Bucket, "read", lambda self, name, **how: read.append(name) or original(self, name, **how)
    )
    acts["first"][3:4]
    assert len(read) == 1
    assert read[0].startswith("layers/L00000/c.")


def test_a_run_of_several_ranks(obstore, tmp_path):
    net = nn.Linear(3, 2)
    x = torch.randn(20, 3)
    for rank in range(2):
        probe = ll.Probe(net, store=tmp_path / "run.zarr", rank=rank, world_size=2)
        probe.run([x[rank::2]])
    memory = obstore.store.MemoryStore()
    put(obstore, memory, tmp_path / "run.zarr")
    acts = ll.Activations.open(memory)
    equal(acts, ll.Activations.open(tmp_path / "run.zarr"))
    assert acts.verify()


def test_another_process_reads_for_itself(obstore, server, root):
    import pickle

    acts = ll.Activations.open(s3(obstore, server, "data/run.zarr"))
    data = pickle.dumps(acts["first"])
    assert len(data) < 5_000 < acts["first"].nbytes
    np.testing.assert_array_equal(np.asarray(pickle.loads(data)), np.asarray(acts["first"]))
    emb = ll.reduce({"first": acts["first"]}, "pca", align=False)
    assert emb["first"].coordinates.shape == (40, 2)


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_what_is_damaged_there_is_named(obstore, root, damage):
    memory = obstore.store.MemoryStore()
    put(obstore, memory, root)
    name = next(n for n in tree(root) if n.startswith("layers/L00000/c."))
    content = bytearray(tree(root)[name])
    content[5] ^= 1
    if damage == "remove":
        obstore.delete(memory, name)
    else:
        obstore.put(memory, name, bytes(content) if damage == "flip" else bytes(content[:-1]))
    acts = ll.Activations.open(memory)
    for read in (lambda: np.asarray(acts["first"]), acts.verify):
        with pytest.raises(ll.StoreError, match=name):
            read()


def test_what_cannot_be_reached_says_why(obstore):
    with pytest.raises(ll.StoreError, match=r"cannot read 'S3Store:bucket/a/zarr.json'.*rror"):
        ll.Activations.open(s3(obstore, "http://127.0.0.1:9", "a"))
    with pytest.raises(ll.StoreError, match=r"cannot read 'ftp://host/a'.*URLs are s3://"):
        ll.Activations.open("ftp://host/a")
    with pytest.raises(ll.StoreError, match=r"path of a folder, a URL.*got int"):
        ll.Activations.open(3)


def test_without_obstore_the_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "obstore.store", None)
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ll.PluginError, match=r"s3://b/run.zarr.*torch-layerlens\[zarr\]"):
        ll.Activations.open("s3://b/run.zarr")


def test_recording_to_a_url_is_refused_before_a_folder_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ll.ArgumentError, match="record to one, copy"):
        ll.Probe(nn.Linear(2, 2), store="s3://bucket/run.zarr")
    assert not list(tmp_path.iterdir())


def test_a_drive_of_windows_is_no_url():
    assert not is_url("C:/data/run.zarr")
    assert not is_url("run.zarr")
    assert is_url("s3://bucket/run.zarr")
