"""The page in a real browser: what must hold, and that the checks would notice if it did not."""

import pytest
from tests.page import checks
from tests.page.browsing import mutated, with_webgl, without_policy
from tests.page.planted import PLANTED

HOSTILE = (
    checks.no_cell_of_the_table_is_a_formula,
    checks.hostile_strings_are_only_shown,
    checks.the_policy_stops_what_is_injected,
)
SIX = (
    checks.asks_for_nothing_and_says_nothing,
    checks.two_loads_give_the_same_pixels,
    checks.between_layers_a_point_is_at_the_blend,
    checks.colours_are_those_of_the_legend,
    checks.the_lasso_selects_what_it_goes_round,
    checks.hover_shows_the_id_and_the_very_pixels,
    checks.neighbours_are_those_of_the_layer,
    checks.the_address_restores_the_view,
    checks.two_steps_right_are_layer_three,
    checks.no_control_is_without_a_name,
    checks.keys_reach_everything_and_focus_is_seen,
    checks.the_table_has_the_selected_points,
)
NO_WEBGL = """const get = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, options) {
  return kind === 'webgl2' ? null : get.call(this, kind, options);
};"""
BUGS = [(check, bug) for check, bugs in PLANTED.items() for bug in bugs]


def named(value):
    return value.__name__ if callable(value) else value[0]


@pytest.mark.parametrize("check", SIX, ids=named)
def test_it_holds(check, visit, page_file, six):
    check(visit, page_file, six)


@pytest.mark.parametrize("check", HOSTILE, ids=named)
def test_it_holds_with_hostile_strings(check, visit, hostile_file, six):
    check(visit, hostile_file, six)


@pytest.mark.parametrize("check", PLANTED, ids=named)
def test_it_holds_for_the_sources_too(check, visit, page_file, hostile_file, six, tmp_path):
    """So that what the bugs are planted in has no other."""
    path = hostile_file if check in HOSTILE else page_file
    check(visit, mutated(path, tmp_path / "sources.html"), six)


def test_webgl_draws_the_blend_and_the_legend_too(visit, page_file, six, tmp_path):
    path = with_webgl(page_file, tmp_path / "webgl.html")
    page = visit(path)
    assert page.page.evaluate("document.getElementById('layerlens').view.renderer") == "webgl2"
    checks.between_layers_a_point_is_at_the_blend(visit, path, six)
    checks.colours_are_those_of_the_legend(visit, path, six)


def test_without_webgl_the_raster_draws(visit, page_file, six, tmp_path):
    path = with_webgl(page_file, tmp_path / "none.html")

    def without(path, **options):
        return visit(path, before=NO_WEBGL, **options)

    page = without(path)
    assert page.page.evaluate("document.getElementById('layerlens').view.renderer") == "raster"
    says = "WebGL2 is not to be had here"
    page.page.wait_for_timeout(400)
    assert says in page.page.locator(".ll-caption").inner_text()
    page.press("ArrowRight")
    page.settled(1)
    assert says in page.page.locator(".ll-caption").inner_text()
    checks.between_layers_a_point_is_at_the_blend(without, path, six)


def test_a_lost_context_is_followed_by_the_raster(visit, page_file, six, tmp_path):
    page = visit(with_webgl(page_file, tmp_path / "lost.html"))
    page.page.evaluate(
        """document.querySelector('.ll-points').getContext('webgl2')
            .getExtension('WEBGL_lose_context').loseContext()"""
    )
    page.until("document.getElementById('layerlens').view.renderer === 'raster'")
    page.set(t=3)
    row = page.lonely()[0]
    x, y = page.places()[row].astype(int)
    pixels = page.pixels()
    assert (pixels[y, x] != pixels[pixels.shape[0] // 4, 20]).any()
    assert "drawn without it" in page.page.locator(".ll-caption").inner_text()


@pytest.mark.parametrize(("check", "bug"), BUGS, ids=named)
def test_a_planted_bug_is_noticed(check, bug, visit, page_file, hostile_file, six, tmp_path):
    _, *changes = bug
    source = hostile_file if check in HOSTILE else page_file
    path = mutated(source, tmp_path / "planted.html", *changes)
    with pytest.raises(AssertionError) as caught:
        check(visit, path, six)
    assert "plant the bug elsewhere" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        ("color = ink;", "color = ink.gbra;"),
        ("place * camera.z", "place * camera.z * 1.03"),
    ],
    ids=["colours", "places"],
)
def test_a_planted_bug_of_webgl_is_noticed(change, visit, page_file, six, tmp_path):
    old, new = change
    if old == "color = ink;":
        old, new = "pixel = vec4(ink.rgb,", "pixel = vec4(ink.gbr,"
    path = with_webgl(page_file, tmp_path / "webgl.html")
    path = mutated(path, tmp_path / "planted.html", (old, new))
    with pytest.raises(AssertionError, match="is to have"):
        checks.between_layers_a_point_is_at_the_blend(visit, path, six)


def test_a_missing_policy_is_noticed(visit, hostile_file, six, tmp_path):
    path = without_policy(hostile_file, tmp_path / "open.html")
    with pytest.raises(AssertionError):
        checks.the_policy_stops_what_is_injected(visit, path, six)
