"""Plugins are found through real entry points of real (if small) distributions."""

import sys

import pytest

from layerlens.errors import LayerlensWarning, PluginError
from layerlens.plugins import REDUCERS, SINKS, Registry

GROUP = "layerlens.sinks"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that puts a distribution on the path, as pip would."""
    made = []

    def install(distribution, entry_points, folder="site", group=GROUP, **modules):
        site = tmp_path / folder
        info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        )
        lines = [f"{name} = {value}" for name, value in entry_points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
        for name, code in modules.items():
            (site / f"{name}.py").write_text(code)
            made.append(name)
        if str(site) not in sys.path:
            monkeypatch.syspath_prepend(str(site))

    yield install
    for name in made:
        sys.modules.pop(name, None)


WELL = "class Sink:\n    suffixes = ('.well',)\n    def __init__(self, path): self.path = path\n"


def test_listing_loads_nothing_and_getting_loads_one(install):
    install(
        "acme-one", {"acme.a": "acme_a:Sink", "acme.b": "acme_b:Sink"}, acme_a=WELL, acme_b=WELL
    )
    registry = Registry(GROUP, "sink")
    assert {"acme.a", "acme.b", "csv", "figure", "npz"} <= set(registry.available())
    assert not {"acme_a", "acme_b"} & set(sys.modules)
    assert registry.distributions("acme.a") == ["acme-one"]
    assert registry.get("acme.a", "x").path == "x"
    assert "acme_a" in sys.modules
    assert "acme_b" not in sys.modules


def test_a_broken_plugin_harms_no_other_and_is_named_with_its_traceback(install):
    broken = "def explode():\n    raise RuntimeError('no licence')\nexplode()\n"
    install("acme-broken", {"acme.broken": "acme_broken:Sink"}, acme_broken=broken)
    install("acme-well", {"acme.well": "acme_well:Sink"}, acme_well=WELL)
    registry = Registry(GROUP, "sink")
    assert registry.factory("acme.well").suffixes == (".well",)
    with pytest.raises(PluginError) as caught:
        registry.factory("acme.broken")
    message = str(caught.value)
    assert "'acme.broken' of the distribution 'acme-broken' (acme_broken:Sink)" in message
    assert "RuntimeError: no licence" in message
    assert "in explode" in message
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.warns(LayerlensWarning, match=r"passed over: .*acme\.broken.*no licence"):
        loaded = dict(registry.loadable())
    assert {"acme.well", "csv", "npz"} <= set(loaded)
    assert "acme.broken" not in loaded


def test_a_plugin_that_ends_the_process_on_import_is_a_broken_one(install):
    install(
        "acme-exit", {"acme.exit": "acme_exit:Sink"}, acme_exit="raise SystemExit('no licence')"
    )
    registry = Registry(GROUP, "sink")
    with pytest.raises(PluginError, match=r"acme-exit.*SystemExit: no licence"):
        registry.factory("acme.exit")


def test_entry_points_that_cannot_be_read_cost_their_own_distribution_only(install, tmp_path):
    install("acme-well", {"acme.well": "acme_well:Sink"}, acme_well=WELL)
    install("acme-torn", {"acme.torn": "acme_torn:Sink"})
    torn = tmp_path / "site" / "acme_torn-1.0.dist-info" / "entry_points.txt"
    torn.write_text(f"[{GROUP}]\nacme.torn\n")
    registry = Registry(GROUP, "sink")
    with pytest.warns(LayerlensWarning, match=r"passed over: .*acme_torn.*reinstall"):
        assert {"acme.well", "csv", "npz"} <= set(registry.available())
    assert registry.distributions("acme.well") == ["acme-well"]


def test_a_name_that_is_missing_in_its_module_is_a_broken_plugin(install):
    install("acme-typo", {"acme.typo": "acme_typo:Snik"}, acme_typo=WELL)
    with pytest.raises(PluginError, match=r"acme-typo.*AttributeError"):
        Registry(GROUP, "sink").factory("acme.typo")


def test_what_cannot_be_called_is_no_plugin(install):
    install("acme-data", {"acme.data": "acme_data:VALUE"}, acme_data="VALUE = 3\n")
    with pytest.raises(PluginError, match="no class or callable but int"):
        Registry(GROUP, "sink").factory("acme.data")


def test_two_of_one_name_are_an_error_only_when_it_is_asked_for(install):
    install("acme-first", {"acme.same": "acme_first:Sink"}, acme_first=WELL)
    install("acme-second", {"acme.same": "acme_second:Sink"}, acme_second=WELL)
    registry = Registry(GROUP, "sink")
    assert registry.available().count("acme.same") == 1
    assert sorted(registry.distributions("acme.same")) == ["acme-first", "acme-second"]
    with pytest.raises(PluginError, match=r"'acme-\w+' and 'acme-\w+' both provide one"):
        registry.factory("acme.same")
    assert not {"acme_first", "acme_second"} & set(sys.modules)


def test_one_distribution_seen_through_two_places_is_one_plugin(install):
    install("acme-twice", {"acme.twice": "acme_twice:Sink"}, acme_twice=WELL)
    install("acme-twice", {"acme.twice": "acme_twice:Sink"}, folder="other")
    assert Registry(GROUP, "sink").factory("acme.twice").suffixes == (".well",)


def test_a_missing_package_names_the_extra_where_one_is_known(install):
    needs = "import a_package_that_nobody_has\n"
    install("acme-needs", {"acme.needs": "acme_needs:Sink"}, acme_needs=needs)
    with pytest.raises(PluginError, match=r'pip install "torch-layerlens\[pictures\]"'):
        Registry(GROUP, "sink", extras={"acme.needs": "pictures"}).factory("acme.needs")
    with pytest.raises(PluginError, match="No module named 'a_package_that_nobody_has'"):
        Registry(GROUP, "sink").factory("acme.needs")


def test_what_is_installed_later_is_seen_after_a_refresh(install):
    registry = Registry(GROUP, "sink")
    before = registry.available()
    install("acme-late", {"acme.late": "acme_late:Sink"}, acme_late=WELL)
    assert registry.available() == before
    registry.refresh()
    assert "acme.late" in registry.available()


def test_bare_names_are_loaded_before_prefixed_ones(install):
    install("acme-early", {"aaa.early": "acme_early:Sink"}, acme_early=WELL)
    names = [name for name, _ in Registry(GROUP, "sink").loadable()]
    assert names[-1] == "aaa.early" or "." in names[-1]
    assert names.index("npz") < names.index("aaa.early")


def test_an_unknown_name_lists_all_and_the_nearest():
    with pytest.raises(PluginError, match=r"no reducer called 'tsen'.*umap.*Did you mean 'tsne'"):
        REDUCERS.factory("tsen")


def test_an_empty_registry_says_that_something_is_wrong():
    with pytest.raises(PluginError, match="pip install torch-layerlens"):
        Registry("layerlens.nothing", "thing").factory("x")


def test_what_is_registered_stands_before_what_is_installed_until_it_is_taken_back():
    installed = SINKS.factory("csv")
    SINKS.register("csv", dict)
    try:
        assert SINKS.factory("csv") is dict
        assert SINKS.distributions("csv") == ["registered in this process"]
    finally:
        SINKS.unregister("csv")
    assert SINKS.factory("csv") is installed
    assert SINKS.distributions("csv") == ["torch-layerlens"]


@pytest.mark.parametrize(("name", "factory"), [("", dict), (3, dict), ("acme.x", "dict")])
def test_what_cannot_be_registered_is_a_type_error(name, factory):
    with pytest.raises(TypeError):
        SINKS.register(name, factory)
    assert "acme.x" not in SINKS.available()
