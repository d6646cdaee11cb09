// The controls: what colours mean, search, what to find, what to show, what to save.

import { KEYS, openHelp } from './keys.js';
import { PALETTES } from './palette.js';
import { button, element, printable } from './util.js';

const keyOf = (/** @type {string} */ action) => KEYS.find(([, name]) => name === action)?.[0] ?? '';

/**
 * What the colour may mean: columns that are not texts, and what each layer knows of a point.
 * @param {import('./types.js').Data} data
 * @returns {[import('./types.js').By, string][]}
 */
export function colorChoices(data) {
  /** @type {[import('./types.js').By, string][]} */
  const choices = [];
  data.columns.forEach((column, i) => column.kind !== 'text' && choices.push([i, printable(column.name, 40)]));
  if (data.clusters) choices.push(['clusters', 'cluster in the layer']);
  if (data.stress) choices.push(['stress', 'neighbours hidden (stress)']);
  return choices.length ? choices : [[-1, 'nothing']];
}

/** @param {string} name @param {string} title @param {...Node} items */
function menu(name, title, ...items) {
  const box = element('details', { className: 'll-menu' }, element('summary', { textContent: name, title }), element('div', {}, ...items));
  box.addEventListener('focusout', (event) => {
    if (event.relatedTarget && !box.contains(/** @type {Node} */ (event.relatedTarget))) box.open = false;
  });
  box.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || !box.open) return;
    event.stopPropagation();
    box.open = false;
    box.querySelector('summary')?.focus();
  });
  return box;
}

/** @param {import('./types.js').View} view */
export function createBar(view) {
  const { data, store, state, actions } = view;
  const choices = colorChoices(data);
  const by = element('select', { title: 'What the colours mean (C)' }, ...choices.map(([value, text]) => element('option', { value: String(value), textContent: text })));
  by.addEventListener('change', () => store.set({ by: choices[by.selectedIndex][0] }));
  const search = element('input', { type: 'search', placeholder: 'id, label, or label=3', title: 'Select by id, label, or a rule such as label=3 or size>20 (/)', spellcheck: false });
  search.setAttribute('aria-label', 'Search');
  search.setAttribute('aria-keyshortcuts', '/');
  search.addEventListener('input', () => actions.searchNow());
  search.addEventListener('keydown', (event) => event.key === 'Enter' && view.state.selected && actions.nextChosen());

  /** @type {[keyof import('./types.js').State, string, string, boolean][]} */
  const switches = [
    ['contours', 'Contours', 'lines of equal density, a colour a class', true], ['names', 'Class names', 'names where their classes are densest', true],
    ['images', 'Images', 'images instead of points, as many as fit', data.thumbnails !== null], ['paths', 'Paths', 'paths of the selected points, fewer than 50', true],
    ['fade', 'Fade the doubtful', 'the more of its neighbours the picture hides, the paler a point', data.stress !== null], ['grid', 'All layers', 'all layers side by side', true],
  ];
  const boxes = switches.filter(([, , , there]) => there).map(([name, text, title]) => {
    const box = element('input', { type: 'checkbox', checked: Boolean(state[name]) });
    box.addEventListener('change', () => store.set({ [name]: box.checked }));
    store.on(name, () => (box.checked = Boolean(state[name])));
    const key = keyOf(name);
    return element('label', { title }, box, element('span', { textContent: text }), key && element('kbd', { textContent: key }));
  });
  const palette = element('select', { title: 'Colours of the classes' }, ...PALETTES.map((name) => element('option', { value: name, textContent: name === 'petroff' ? 'Petroff' : 'Okabe and Ito' })));
  palette.addEventListener('change', () => store.set({ palette: palette.value }));

  const item = (/** @type {string} */ text, /** @type {string} */ title, /** @type {string} */ action) => {
    const node = button(text, title, keyOf(action), () => {
      node.closest('details')?.removeAttribute('open');
      actions[action]();
    });
    const key = keyOf(action);
    if (key) node.append(element('kbd', { textContent: key }));
    return node;
  };
  const judged = data.roles.correct !== undefined || (data.roles.label !== undefined && data.roles.prediction !== undefined);
  const found = [
    judged && item('Wrong predictions', 'select the points that the network gets wrong', 'mistakes'),
    data.layers.length > 1 && item('Move most', 'select the 30 points that move most between this layer and the next', 'movers'),
    data.layers.length > 1 && data.neighbors && data.columns.some((c) => c.kind === 'category') && item('Change company', 'select the points most of whose neighbours are of another class in the next layer', 'changers'),
    data.stress && item('Least to be believed', 'select the points whose neighbours this picture hides most', 'doubtful'),
  ].filter((node) => node instanceof Node);
  const undo = button('Undo', 'take back what was selected, picked, coloured or hidden last', 'U', () => actions.undo());
  const bar = element('header', { className: 'll-bar' },
    element('h1', { textContent: printable(data.head.title ?? 'layerlens', 80), title: printable(data.head.title ?? '', 400) }),
    element('label', { className: 'll-by' }, 'Colour by ', by), search,
    ...(found.length ? [menu('Find', 'points worth a look', ...found)] : []),
    menu('Show', 'what is drawn', ...boxes, element('label', {}, element('span', { textContent: 'Palette' }), palette)),
    menu('Save', 'the picture, or the points',
      item('Picture, PNG', 'as it is seen', 'png'), item('Picture, SVG', 'points as shapes, to be edited', 'svg'),
      item('Table, CSV', 'the selected points, or all, with every column', 'csv'), item('Copy ids', 'of the selected points, or all', 'copyIds')),
    element('span', { className: 'll-space' }), undo,
    button('Figures', 'figures of all layers, as a table', 'T', () => actions.table()),
    button('Theme', 'light or dark', 'D', () => actions.theme()), button('Help', 'how to use this page', '?', () => openHelp(view)));

  store.on('by', () => (by.selectedIndex = choices.findIndex(([value]) => value === state.by)));
  by.selectedIndex = choices.findIndex(([value]) => value === state.by);
  view.root.addEventListener('pointerdown', (event) => {
    for (const each of bar.querySelectorAll('details[open]')) if (!each.contains(/** @type {Node} */ (event.target))) each.removeAttribute('open');
  }, { signal: view.signal });
  actions.help = () => openHelp(view);
  actions.search = () => {
    search.focus();
    search.select();
  };
  actions.nextColor = () => {
    const at = choices.findIndex(([value]) => value === state.by);
    store.set({ by: choices[(at + 1) % choices.length][0] });
  };
  return { bar, search };
}

/** The tools on the picture: what a drag does, how close one looks. @param {import('./types.js').View} view */
export function createTools(view) {
  const { store, state, data, actions } = view;
  /** @type {["move" | "lasso" | "box", string, string][]} */
  const modes = [['move', data.components === 3 ? 'Turn' : 'Move', data.components === 3 ? 'a drag turns the picture' : 'a drag moves the picture'], ['lasso', 'Lasso', 'a drag selects what it goes round'], ['box', 'Box', 'a drag selects a box']];
  const nodes = modes.map(([mode, text, title]) => {
    const node = button(text, title, mode === 'move' ? '' : keyOf(mode), () => store.set({ mode }));
    store.on('mode', () => node.setAttribute('aria-pressed', String(state.mode === mode)));
    node.setAttribute('aria-pressed', String(state.mode === mode));
    return node;
  });
  const group = (/** @type {string} */ className, /** @type {string} */ label, /** @type {Node[]} */ children) => {
    const box = element('div', { className }, ...children);
    box.setAttribute('role', 'group');
    box.setAttribute('aria-label', label);
    return box;
  };
  store.on('mode', () => (view.root.dataset.mode = state.mode));
  view.root.dataset.mode = state.mode;
  return [
    group('ll-modes', 'What a drag does', nodes),
    group('ll-zoom', 'Zoom', [button('+', 'closer', '+', () => actions.closer()), button('−', 'farther', '-', () => actions.farther()), button('Fit', 'the whole picture', 'F', () => view.fit())]),
  ];
}
