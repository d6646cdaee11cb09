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
        ("the wrong way", ("const P = form(i, 1 - f);", "const P = form(i, f);"), ("const Q = form(j, f);", "const Q = form(j, 1 - f);")),
    ],
    checks.colours_are_those_of_the_legend: [
        ("another colour", ("const c = colors[r];", "const c = colors[(r + 1) % colors.length];")),
    ],
    checks.the_lasso_selects_what_it_goes_round: [
        ("a box", ("&& insidePolygon(polygon, xy[2 * r], y)) hits[r] = 1;", "&& xy[2 * r] > 0.35 && xy[2 * r] < 0.62) hits[r] = 1;")),
        ("not told of", ("selected > 2 && data.layers.length > 2 && arrangement(),", "")),
        ("forgotten by the next layer", ("titled = layers[view.layer];", "titled = layers[view.layer]; if (view.layer === 4) store.set({ selection: new Uint8Array(data.n) });")),
    ],
    checks.hover_shows_the_id_and_the_very_pixels: [
        ("another image", ("at = slot % perSheet", "at = (slot + 1) % perSheet")),
        ("another id", ("element('strong', quoted(idOf(data, row)))", "element('strong', quoted(idOf(data, row ^ 1)))")),
        ("a pixel beside", ("part.x, part.y, width, height, 0, 0, width, height", "part.x + 1, part.y, width, height, 0, 0, width, height")),
    ],
    checks.neighbours_are_those_of_the_layer: [
        ("the first layer's", ("const from = (layer * neighbors.rows + slot) * neighbors.k;", "const from = slot * neighbors.k;")),
    ],
    checks.the_address_restores_the_view: [
        ("no selection", ("patch.selection = decodeRows(sel, data.n)", "0")),
        ("another pick", ("decodeRow(pick);", "decodeRow(pick) + 1;")),
        ("bits in another order", ("bytes.charCodeAt(r >> 3) >> (r & 7)", "bytes.charCodeAt(r >> 3) >> (7 - (r & 7))")),
        ("no layer", ("if (layer !== undefined) patch.layer = layer;", "")),
        ("no colour", ("if (by !== undefined) patch.by", "if (by === 0) patch.by")),
    ],
    checks.two_steps_right_are_layer_three: [
        ("steps of two", ("next: () => view.go(state.goal + 1)", "next: () => view.go(state.goal + 2)")),
        ("nothing said", ("live.textContent = summary();", "0;")),
    ],
    checks.no_control_is_without_a_name: [
        ("the scrubber", ("disabled: L < 2, 'aria-label': 'Layer', title: 'Drag through the layers'", "disabled: L < 2")),
        ("the cloud", ("cloud.over.setAttribute('aria-label'", "cloud.over.setAttribute('data-label'")),
    ],
    checks.no_cell_of_the_table_is_a_formula: [
        ("formulas", ("test(text) ? `'${text}` : text;", "test(text) ? text : text;")),
    ],
    checks.hostile_strings_are_only_shown: [
        ("markup in the legend", ("element('bdi', printable(key.label, 80) || '(empty)')", "element('bdi', { innerHTML: printable(key.label, 80) })")),
        ("marks of direction", (".replace(UNPRINTABLE, ' ')", "")),
    ],
    checks.keys_reach_everything_and_focus_is_seen: [
        ("the focus is not seen", (".ll :focus-visible { outline: 2px solid var(--acc); outline-offset: 2px; }", ".ll :focus-visible { outline: none; }")),
        ("the cloud has no place in the order", ("tabIndex: 0, role: 'img'", "role: 'img'")),
        ("keys are swallowed", ("const from = (event.target);", "event.preventDefault(); const from = (event.target);")),
    ],
    checks.the_table_has_the_selected_points: [
        ("all points", ("csvText(data, rows(), view.layer)", "csvText(data, rows().map((r) => r ^ 1), view.layer)")),
    ],
}  # fmt: skip

# of the views: (name, view, (old, new), ...)
VIEWS = [
    ("nothing drawn", "page-cloud-light", ("renderer.draw(frame(ratio));", "")),
    ("no path, no ring", "page-point-light", ("if (state.pick >= 0) paintPath(", "if (state.pick < -1) paintPath("), ("const ring = (", "return; const ring = (")),
    ("too wide", "page-lasso-light", ("height: 100%; min-height: 560px;", "height: 100%; min-height: 560px; width: 1400px;")),
    ("no small pictures", "page-layers-light", ("context.putImageData(image, 0, 0);", "")),
    ("no images", "page-images-dark", ("if (state.images) paintImages(brush);", "")),
    ("no contours", "page-contours-light", ("if (state.contours || state.names) paintClasses(brush);", "")),
    ("no sheet", "page-table-light", ("sheet.showModal();", "")),
    ("no key in the sheet", "page-help-dark", ("element('dl.ll-keys'", "element('dl.ll-keys', { hidden: true }")),
    ("light in the dark", "page-point-dark", ("--bg: #14161b;", "--bg: #fff;")),
    ("cut on a telephone", "page-narrow-dark", (".ll-body, .ll-main { display: block; flex: none; }", ".ll-body, .ll-main { display: block; flex: none; min-width: 500px; }"), ("overflow: hidden auto;", "")),
]  # fmt: skip
