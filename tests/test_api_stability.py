"""No public signature changes unseen: what there is equals what is checked in."""

import inspect

from tests import public_api

import layerlens as ll


def test_public_signatures_are_those_that_are_checked_in():
    changed = public_api.changes(public_api.read(), public_api.listing())
    assert not changed, (
        "public signatures have changed:\n\n"
        + "\n".join(changed)
        + "\n\nIf other people's code must not notice, take it back. Otherwise write a line under "
        "## [Unreleased] in CHANGELOG.md that names "
        + ", ".join(f"`{name}`" for name in sorted(public_api.names(changed)))
        + " (### Added, ### Changed with what to write instead, ### Removed), and then run:\n\n"
        "    python tests/public_api.py --write"
    )


def test_the_listing_has_what_the_design_promises():
    lines = public_api.listing()
    assert any(
        line.startswith("layerlens.Probe(model, layers='*', *, readout='flatten'") for line in lines
    )
    assert any(line.startswith("layerlens.Embeddings.save(self, path, ") for line in lines)
    assert "layerlens.ShapeError is LayerlensError, ValueError, Exception, BaseException" in lines
    assert any(line.startswith("layerlens.testing.check_sink(") for line in lines)
    assert "entry point layerlens.reducers: pca" in lines
    # nothing that differs from one process to the next
    assert not [line for line in lines if " at 0x" in line]


def test_a_changed_default_a_new_keyword_and_a_lost_name_are_seen(monkeypatch):
    before = public_api.listing()

    def embed(model, batches, *, layers="*", extra=1):
        return None

    monkeypatch.setattr(ll, "embed", embed)
    monkeypatch.setattr(ll, "__all__", [name for name in ll.__all__ if name != "StoreError"])
    monkeypatch.setattr(ll.Probe, "run", lambda self, batches, *, progress=True: None)
    changed = public_api.changes(before, public_api.listing())
    assert public_api.names(changed) == {"embed", "StoreError", "Probe.run"}
    assert sum(line.startswith("- ") for line in changed) == 3
    assert sum(line.startswith("+ ") for line in changed) == 2
    assert "+ layerlens.embed(model, batches, *, layers='*', extra=1)" in changed


def test_a_change_that_the_changelog_does_not_tell_is_named():
    changed = ["+ layerlens.Probe.run(self)", "- sink csv(path) for .csv", "+ command: layerlens"]
    log = "# C\n\n## [Unreleased]\n\n- `Probe.run(limit=)` is new.\n\n## [0.1.0]\n\n- `csv`\n"
    assert public_api.untold(changed, log) == ["csv", "layerlens"]
    assert public_api.untold(changed, log.replace("is new", "and `csv`, `layerlens x`")) == []


def test_of_a_new_class_its_own_name_is_enough_but_not_of_an_old_one():
    log = "## [Unreleased]\n\n- `Timeline`\n"
    new = ["+ layerlens.Timeline(model)", "+ layerlens.Timeline.step(self)"]
    assert public_api.untold(new, log) == []
    old = ["- layerlens.Timeline(a)", "+ layerlens.Timeline(b)", "+ layerlens.Timeline.step(self)"]
    assert public_api.untold(old, log) == ["Timeline.step"]


def test_annotations_do_not_count():
    def a(x: int, *, y: str = "b") -> None: ...
    def b(x, *, y="b"): ...

    assert public_api._signature(a) == public_api._signature(b) == "(x, *, y='b')"
    assert inspect.signature(a) != inspect.signature(b)
