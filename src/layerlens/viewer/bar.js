// The bar above the picture, and the tools on it.

import { about, command, MODES, SWITCHES } from './keys.js';
import { PALETTES } from './palette.js';
import { button, element, group, listen, pressed, printable } from './util.js';

/** What can be coloured by, and in what words. @param {import('./types.js').Data} data */
export function colorChoices(data) {
  /** @type {[import('./types.js').By, string][]} */
  const choices = [];
  data.columns.forEach((column, i) => column.kind !== 'text' && choices.push([i, printable(column.name)]));
  if (data.clusters) choices.push(['clusters', 'cluster in the layer']);
  if (data.stress) choices.push(['stress', 'neighbours hidden (stress)']);
  return choices.length ? choices : [/** @type {[number, string]} */ ([-1, 'nothing'])];
}

/** @param {string} name @param {string} title @param {...import('./util.js').Part} items */
function menu(name, title, ...items) {
  const summary = element('summary', { title }, name);
  const box = element('details.ll-menu', {
    onclick(/** @type {{target: Element}} */ { target }) {
      if (target.closest('button')) box.open = false;
    },
    onkeydown(/** @type {KeyboardEvent} */ event) {
      if (event.key !== 'Escape' || !box.open) return;
      event.stopPropagation();
      box.open = false;
      summary.focus();
    },
  }, summary, element('div', ...items));
  return box;
}

/** @param {string} title @param {string[]} texts @param {(at: number) => void} change */
function choice(title, texts, change) {
  const select = element('select', { title, onchange: () => change(select.selectedIndex) }, texts.map((text) => element('option', text)));
  return select;
}

/** @param {import('./types.js').View} view */
export function createBar(view) {
  const { data, store, state, actions, root } = view;
  const { roles, layers } = data;
  const title = printable(data.head.title, 400);
  const choices = colorChoices(data);
  const at = () => choices.findIndex(([value]) => value === state.by);
  const by = choice('What the colours mean (C)', choices.map(([, text]) => text), (i) => store.set({ by: choices[i][0] }));
  const search = element('input', {
    type: 'search', placeholder: 'id, label, or label=3', title: about('search')[2] + ' (/)', spellcheck: false, 'aria-label': 'Search', 'aria-keyshortcuts': '/',
    oninput: () => view.searchFor(search.value),
    onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === 'Enter' && state.selected && actions.nextChosen(),
  });
  const keyOf = (/** @type {string} */ action) => about(action)[0] && element('kbd', { 'aria-hidden': true }, about(action)[0]);
  const item = (/** @type {string} */ action) => command(view, action, keyOf(action));
  const toggle = (/** @type {typeof SWITCHES[number]} */ name) => {
    const [, , words, text] = about(name);
    const box = element('input', { type: 'checkbox', checked: state[name], onchange: () => store.set({ [name]: box.checked }) });
    store.on(name, () => (box.checked = state[name]));
    return element('label', { title: words }, box, element('span', text), keyOf(name));
  };
  const judged = roles.correct !== undefined || (roles.label !== undefined && roles.prediction !== undefined);
  const found = [
    judged && item('mistakes'),
    layers.length > 1 && item('movers'),
    layers.length > 1 && data.neighbors && data.columns.some((c) => c.kind === 'category') && item('changers'),
    data.stress && item('doubtful'),
  ];
  const bar = element('header.ll-bar',
    element('h1', { title }, printable(title, 80)),
    element('label.ll-by', 'Colour by ', by), search,
    found.some(Boolean) && menu('Find', 'points worth a look', ...found),
    menu('Show', 'what is drawn', SWITCHES.filter((name) => (name !== 'images' || data.thumbnails) && (name !== 'fade' || data.stress)).map(toggle),
      element('label', element('span', 'Palette'), choice('Colours of the classes', ['Petroff', 'Okabe and Ito'], (i) => store.set({ palette: PALETTES[i] })))),
    menu('Save', 'the picture, or the points', ['png', 'svg', 'csv', 'copyIds'].map(item)),
    element('span.ll-space'), ['undo', 'table', 'theme', 'help'].map((action) => command(view, action)));

  store.on('by', () => (by.selectedIndex = at()));
  by.selectedIndex = at();
  listen(view, root, 'pointerdown focusin', ({ target }) => {
    for (const each of bar.querySelectorAll('details')) if (!each.contains(target)) each.open = false;
  });
  actions.search = () => {
    search.focus();
    search.select();
  };
  actions.nextColor = () => store.set({ by: choices[(at() + 1) % choices.length][0] });
  return bar;
}

/** The tools on the picture: what a drag does, how close one looks. @param {import('./types.js').View} view */
export function createTools(view) {
  const { store, state, root, data, actions } = view;
  const modes = MODES.map((mode) => command(view, mode));
  if (data.components === 3) modes[0] = button('Turn', 'a drag turns the picture', '', () => actions.move());
  const show = () => {
    root.dataset.mode = state.mode;
    modes.forEach((node, i) => pressed(node, state.mode === MODES[i]));
  };
  store.on('mode', show);
  show();
  return [
    group('div.ll-modes', 'What a drag does', modes),
    group('div.ll-zoom', 'Zoom', ['closer', 'farther', 'fit'].map((action) => command(view, action))),
  ];
}
