"""Bugs, as changes of the viewer's script, each of which its check must notice."""

# ruff: noqa: E501 -- lines of the viewer, which are as long as they are

from tests.page import checks

# (name, (old, new), ...)
PLANTED = {
    checks.asks_for_nothing_and_says_nothing: [
        ("a request", ("root.replaceChildren();", "root.replaceChildren(); fetch('https://example.org/x').catch(() => 0);")),
        ("an image from elsewhere", ("root.replaceChildren();", "root.replaceChildren(); new Image().src = 'https://example.org/x.png';")),
        ("a warning", ("function summary() {", "function summary() { console.warn('x');")),
        ("an error", ("fit: () => {", "fit: () => { null.x;")),
        ("eval", ("function summary() {", "function summary() { eval('1');")),
    ],
    checks.two_loads_give_the_same_pixels: [
        ("chance", ("const ox = camera.x - side / 2 + 0.5", "const ox = camera.x - side / 2 + 0.5 + Math.random() * 3")),
    ],
    checks.between_layers_a_point_is_at_the_blend: [
        ("no blend", ("const f = t - i;", "const f = 0;")),
        ("the wrong way", ("C, 1 - f);", "C, f);"), ("spin, C, f);", "spin, C, 1 - f);")),
    ],
    checks.colours_are_those_of_the_legend: [
        ("another colour", ("const c = colors[r];", "const c = colors[(r + 1) % colors.length];")),
    ],
    checks.the_lasso_selects_what_it_goes_round: [
        ("a box", ("if (insidePolygon(polygon, x, y)) hits[r] = 1;", "hits[r] = 1;")),
        ("forgotten by the next layer", ("titled = view.layer;", "titled = view.layer; if (titled === 4) store.set({ selection: new Uint8Array(data.n) });")),
    ],
    checks.hover_shows_the_id_and_the_very_pixels: [
        ("another image", ("at = slot % perSheet", "at = (slot + 1) % perSheet")),
        ("another id", ("printable(idOf(data, row), 40)", "printable(idOf(data, row ^ 1), 40)")),
        ("a pixel beside", ("part.x, part.y, width, height, 0, 0, width, height", "part.x + 1, part.y, width, height, 0, 0, width, height")),
    ],
    checks.neighbours_are_those_of_the_layer: [
        ("the first layer's", ("const from = (layer * neighbors.rows + slot) * neighbors.k;", "const from = slot * neighbors.k;")),
    ],
    checks.the_address_restores_the_view: [
        ("no selection", ("patch.selection = decodeRows(sel, data.n)", "0")),
        ("another pick", ("parseInt(pick, 36) : -1", "parseInt(pick, 36) + 1 : -1")),
        ("bits in another order", ("bits & (1 << b)", "bits & (32 >> b)")),
        ("no layer", ("if (layer !== undefined) patch.layer = layer;", "")),
        ("no colour", ("if (by !== undefined) patch.by", "if (by === 0) patch.by")),
    ],
    checks.two_steps_right_are_layer_three: [
        ("steps of two", ("next: () => view.go(state.goal + 1)", "next: () => view.go(state.goal + 2)")),
        ("nothing said", ("live.textContent = summary();", "0;")),
    ],
    checks.no_control_is_without_a_name: [
        ("the scrubber", ("slider.setAttribute('aria-label', 'Layer');", ""), ("slider.title = 'Drag through the layers';", "")),
        ("the cloud", ("cloud.over.setAttribute('aria-label'", "cloud.over.setAttribute('data-label'")),
    ],
    checks.no_cell_of_the_table_is_a_formula: [
        ("formulas", ("test(text) ? `'${text}` : text;", "test(text) ? text : text;")),
    ],
    checks.hostile_strings_are_only_shown: [
        ("markup in the legend", ("element('bdi', { textContent: printable(key.label, 80)", "element('bdi', { innerHTML: printable(key.label, 80)")),
        ("marks of direction", (".replace(UNPRINTABLE, ' ')", "")),
    ],
    checks.the_table_has_the_selected_points: [
        ("all points", ("csvText(data, rows(), view.layer)", "csvText(data, rows().map((r) => r ^ 1), view.layer)")),
    ],
}  # fmt: skip
