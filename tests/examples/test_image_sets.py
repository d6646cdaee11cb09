"""Data sets on disk: files are written here, byte by byte, in the formats of the real ones."""

import gzip
import os
import pickle
import shutil
import struct

import image_sets
import numpy as np
import pytest


def images_of(n, seed):
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (n, 3072), dtype=np.uint8), draw.integers(0, 10, n)


def python2_string(content):
    """Return what Python 2 pickles a str as (opcodes U and T)."""
    if len(content) < 256:
        return b"U" + bytes([len(content)]) + content
    return b"T" + struct.pack("<i", len(content)) + content


def python2_batch(pixels, labels):
    """Return a batch as Python 2's cPickle and NumPy wrote those of CIFAR-10, protocol 2."""
    array = b"".join(
        [
            b"cnumpy.core.multiarray\n_reconstruct\n",
            b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01",
            b"J" + struct.pack("<i", len(pixels)) + b"M" + struct.pack("<H", 3072) + b"\x86",
            b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R",
            b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
            b"\x89" + python2_string(pixels.tobytes()) + b"tb",
        ]
    )
    names = b"](" + b"".join(python2_string(b"a_%06d.png" % i) for i in range(len(labels))) + b"e"
    return b"".join(
        [
            b"\x80\x02}(",
            python2_string(b"data") + array,
            python2_string(b"labels"),
            b"](" + b"".join(b"K" + bytes([label]) for label in labels.tolist()) + b"e",
            python2_string(b"batch_label") + python2_string(b"training batch 1 of 5"),
            python2_string(b"filenames") + names,
            b"u.",
        ]
    )


def python3_batch(pixels, labels):
    return pickle.dumps({b"data": pixels, b"labels": labels.tolist()}, protocol=4)


def binary_batch(pixels, labels):
    return np.hstack([labels[:, None].astype(np.uint8), pixels]).tobytes()


NAMES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
FORMATS = {
    "python 2": (python2_batch, ""),
    "python 3": (python3_batch, ""),
    "binary": (binary_batch, ".bin"),
}


def write(folder, kind, n=4):
    encode, suffix = FORMATS[kind]
    for seed, name in enumerate(NAMES):
        (folder / f"{name}{suffix}").write_bytes(encode(*images_of(n, seed)))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("inside", ["", "cifar-10-batches-py", "cifar-10-batches-bin"])
def test_cifar_comes_back_as_it_was_written(kind, inside, tmp_path):
    (tmp_path / inside).mkdir(exist_ok=True)
    write(tmp_path / inside, kind)
    data = image_sets.cifar10(tmp_path)
    assert data.train_x.shape == (20, 32, 32, 3) and data.test_x.shape == (4, 32, 32, 3)
    for seed, x, y in ((0, data.train_x[:4], data.train_y[:4]), (5, data.test_x, data.test_y)):
        pixels, labels = images_of(4, seed)
        assert y.tolist() == labels.tolist()
        for channel in range(3):  # red, green, blue: a plane after the other
            plane = pixels[:, 1024 * channel : 1024 * (channel + 1)]
            assert np.array_equal(x[..., channel].reshape(4, 1024), plane)


def test_the_python2_batch_of_these_tests_is_a_pickle_that_numpy_reads():
    pixels, labels = images_of(3, 0)
    read = pickle.loads(
        python2_batch(pixels, labels).replace(b"numpy.core.m", b"numpy._core.m")
        if np.__version__ >= "2"
        else python2_batch(pixels, labels),
        encoding="bytes",
    )
    assert np.array_equal(read[b"data"], pixels) and read[b"labels"] == labels.tolist()
    assert read[b"batch_label"] == b"training batch 1 of 5"


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "call",
    [
        (os.system, "touch {}"),
        (eval, "open('{}','w').close()"),
        (os.mkdir, "{}"),
        (shutil.copy, __file__, "{}"),
    ],
    ids=["os.system", "eval", "os.mkdir", "shutil.copy"],
)
@pytest.mark.parametrize("where", ["data", "labels", "beside"])
def test_a_pickle_that_would_run_something_runs_nothing(call, where, tmp_path):
    write(tmp_path, "python 3")
    mark = tmp_path / "ran"
    function, *arguments = call
    evil = Evil(function, *(word.replace("{}", str(mark)) for word in arguments))
    pixels, labels = images_of(4, 0)
    batch = {b"data": pixels, b"labels": labels.tolist()}
    batch[where.encode()] = evil
    content = pickle.dumps(batch)
    (tmp_path / "data_batch_1").write_bytes(content)
    with pytest.raises(ValueError, match="nothing of it was run"):
        image_sets.cifar10(tmp_path)
    assert not mark.exists()
    # a reader that trusts the same bytes does it: the test can fail
    pickle.loads(content)
    assert mark.exists()


def test_what_numpy_names_is_not_called_either(tmp_path):
    assert set(image_sets.Inert._stands_for.values()) <= {
        image_sets._Bytes,
        image_sets._Kind,
        image_sets._Mark,
    }
    write(tmp_path, "python 3")
    objects = np.array([print, os.system], dtype=object)
    for content in (objects, np.zeros((4, 3072)), np.zeros((3072, 4), np.uint8).T):
        batch = {b"data": content, b"labels": [0] * 4}
        (tmp_path / "test_batch").write_bytes(pickle.dumps(batch, protocol=4))
        with pytest.raises(ValueError, match=r"is no python batch of CIFAR-10"):
            image_sets.cifar10(tmp_path)


@pytest.mark.parametrize(
    "batch",
    [
        {},
        {b"data": b"no array", b"labels": [1]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]},
        {b"data": np.zeros((2, 3071), np.uint8), b"labels": [1, 2]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 10]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 0.5]},
        ["no", "dict"],
    ],
)
def test_broken_python_batches_are_named(batch, tmp_path):
    write(tmp_path, "python 3")
    (tmp_path / "data_batch_3").write_bytes(pickle.dumps(batch, protocol=4))
    with pytest.raises(ValueError, match="data_batch_3"):
        image_sets.cifar10(tmp_path)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_files_that_were_cut_off_are_named(kind, cut, tmp_path):
    write(tmp_path, kind)
    path = tmp_path / f"data_batch_2{FORMATS[kind][1]}"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match="data_batch_2"):
        image_sets.cifar10(tmp_path)


def test_a_folder_without_cifar_says_which_files_are_wanted(tmp_path):
    write(tmp_path, "binary")
    (tmp_path / "test_batch.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"data_batch_1 to data_batch_5 and test_batch"):
        image_sets.cifar10(tmp_path)


def idx(array):
    head = b"\x00\x00\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


def test_fashion_mnist_comes_back_as_it_was_written(tmp_path):
    draw = np.random.default_rng(0)
    written = {}
    for part, n in (("train", 5), ("t10k", 3)):
        written[part] = (
            draw.integers(0, 256, (n, 28, 28), np.uint8),
            draw.integers(0, 10, n, np.uint8),
        )
        for kind, array in zip(("images-idx3", "labels-idx1"), written[part], strict=True):
            (tmp_path / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(idx(array)))
    data = image_sets.fashion_mnist(tmp_path)
    assert np.array_equal(data.train_x[..., 0], written["train"][0])
    assert np.array_equal(data.test_y, written["t10k"][1])
    assert len(data.label_names) == 10 and data.test_y.dtype == np.int64


def test_without_fashion_mnist_it_is_said_where_it_comes_from(tmp_path):
    with pytest.raises(FileNotFoundError, match="apt-get install dataset-fashion-mnist"):
        image_sets.fashion_mnist(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x00\x00\x0d\x01" + bytes(8), "no idx file of bytes"),
        (b"", "no idx file of bytes"),
        (idx(np.zeros((2, 3), np.uint8))[:-1], "5 values where its head says"),
        (idx(np.zeros((2, 3), np.uint8))[:9], "cut off in its head"),
    ],
)
def test_broken_idx_files_are_named(content, said, tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said):
        image_sets.read_idx(path)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(content)[:-9])
    with pytest.raises(ValueError, match="no whole gzip file"):
        image_sets.read_idx(tmp_path / "cut.gz")


def test_a_draw_takes_images_with_their_labels():
    x = np.arange(50, dtype=np.uint8).reshape(50, 1, 1, 1)
    y = np.arange(50)
    data = image_sets.Images("some", x, y, x[:20], y[:20], tuple("0123456789"))
    drawn = data.drawn(10, 100, seed=1)
    assert np.array_equal(drawn.train_x.ravel(), drawn.train_y)
    assert len(drawn.train_y) == 10 and sorted(drawn.test_y) == list(range(20))
    assert not np.array_equal(drawn.train_y, data.drawn(10, 100, seed=2).train_y)


def test_mlxtends_digits_are_split_once(tmp_path):
    data = image_sets.mnist()
    assert data.train_x.shape == (4000, 28, 28, 1) and len(data.test_y) == 1000
    assert np.bincount(np.concatenate([data.train_y, data.test_y])).tolist() == [500] * 10
