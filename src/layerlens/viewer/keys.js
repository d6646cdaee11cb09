// The keyboard does all that the pointer does. One list is the keys, the buttons' words and the help sheet.

import { button, element, listen } from './util.js';

/**
 * What can be done: key as pressed (empty for none), action, words for the help and the tip, text of its button.
 * @type {[string, string, string, string?][]}
 */
export const KEYS = [
  ['Space', 'play', 'go through all layers', 'Play'],
  ['ArrowRight', 'next', 'next layer', '›'],
  ['ArrowLeft', 'previous', 'layer before', '‹'],
  ['Home', 'first', 'first layer'],
  ['End', 'last', 'last layer'],
  ['N', 'nextChosen', 'next selected point; of all, if none is'],
  ['P', 'previousChosen', 'selected point before'],
  ['Enter', 'toggle', 'select the picked point, or no more'],
  ['/', 'search', 'select by id, label, or a rule: label=3, size>20'],
  ['', 'move', 'a drag moves the picture', 'Move'],
  ['L', 'lasso', 'select what a drag goes round; with shift, add it', 'Lasso'],
  ['B', 'box', 'select a box; with shift, add it', 'Box'],
  ['M', 'mistakes', 'select wrong predictions', 'Wrong predictions'],
  ['', 'movers', 'points that move most to the next layer', 'Move most'],
  ['', 'changers', 'points whose neighbours are of another class in the next layer', 'Change company'],
  ['', 'doubtful', 'points whose neighbours this picture hides most', 'Least to be believed'],
  ['I', 'invert', 'invert the selection', 'Invert'],
  ['Escape', 'clear', 'clear selection and pick', 'Clear'],
  ['', 'align', 'turn layers so that the selection stays in place', 'Align view'],
  ['', 'copyIds', 'ids of the selected points, or of all', 'Copy ids'],
  ['', 'csv', 'the selected points, or all', 'Table, CSV'],
  ['', 'png', 'as it is seen', 'Picture, PNG'],
  ['', 'svg', 'points as shapes', 'Picture, SVG'],
  ['U', 'undo', 'undo (also ctrl Z)', 'Undo'],
  ['C', 'nextColor', 'colour by the next column'],
  ['V', 'contours', 'lines of equal density', 'Contours'],
  ['', 'names', 'names where classes are densest', 'Class names'],
  ['X', 'images', 'images in place of points', 'Images'],
  ['', 'paths', 'paths of fewer than 50 selected points', 'Paths'],
  ['', 'fade', 'the more of its neighbours are hidden, the paler a point', 'Fade the doubtful'],
  ['G', 'grid', 'all layers side by side', 'All layers'],
  ['T', 'table', 'figures of all layers', 'Figures'],
  ['F', 'fit', 'the whole picture', 'Fit'],
  ['+', 'closer', 'closer', '+'],
  ['-', 'farther', 'farther', '−'],
  ['D', 'theme', 'light or dark', 'Theme'],
  ['?', 'help', 'how to use this page', 'Help'],
];

/** What the picture shows besides points, or not: names of the state and of actions. */
export const SWITCHES = /** @type {const} */ (['contours', 'names', 'images', 'paths', 'fade', 'grid']);

/** What a drag does. */
export const MODES = /** @type {const} */ (['move', 'lasso', 'box']);

/** The row of an action. @param {string} action */
export function about(action) {
  return KEYS.find((row) => row[1] === action) ?? KEYS[0];
}

/** A button that does what the list says. @param {import('./types.js').View} view @param {string} action @param {...import('./util.js').Part} parts */
export function command(view, action, ...parts) {
  const [key, , words, text = ''] = about(action);
  return button(text, words, key, () => view.actions[action](), ...parts);
}

/** @param {import('./types.js').View} view */
export function listenToKeys(view) {
  const { options, actions, state, store } = view;
  const names = new Map(KEYS.map(([key, action]) => [key === 'Space' ? ' ' : key.toLowerCase(), action]));
  names.set('=', 'closer').set('_', 'farther');
  listen(view, options.page ? document : view.root, 'keydown', (/** @type {KeyboardEvent} */ event) => {
    const from = /** @type {HTMLElement} */ (event.target);
    const key = event.key.toLowerCase();
    const { shiftKey } = event;
    const control = event.ctrlKey || event.metaKey;
    const typing = from.matches('input[type=search], select, textarea');
    const pressing = from.matches('button, summary, input[type=checkbox]') && (key === ' ' || key === 'enter');
    if (from.closest('dialog')) return;
    if (typing && key === 'escape') from.blur();
    if (typing || pressing || event.altKey) return;
    const arrow = shiftKey && ['arrowleft', 'arrowup', 'arrowright', 'arrowdown'].indexOf(key) + 1;
    const action = control ? key === 'z' && (shiftKey ? 'redo' : 'undo') : names.get(key);
    if (!action && !arrow) return;
    event.preventDefault();
    if (!options.page) event.stopPropagation(); // a notebook has keys of its own: x cuts a cell
    if (arrow) {
      const { camera } = state;
      const step = arrow > 2 ? -40 : 40;
      store.set({ camera: arrow % 2 ? { ...camera, x: camera.x + step } : { ...camera, y: camera.y + step } });
    } else if (action) actions[action]();
  });
}

/**
 * A dialog that closes by its button, Esc, or a click beside it.
 * @param {import('./types.js').View} view @param {string} title @param {...import('./util.js').Part} content
 */
export function openSheet(view, title, ...content) {
  view.root.querySelector('dialog')?.remove();
  const sheet = element('dialog.ll-sheet', {
    'aria-label': title, onclose: () => sheet.remove(), onclick: (/** @type {Event} */ { target }) => target === sheet && sheet.close(),
  }, element('header', element('h2', title), button('Close', 'close this sheet', 'Escape', () => sheet.close())), ...content);
  view.root.append(sheet);
  sheet.showModal();
}

/** @param {import('./types.js').View} view */
export function openHelp(view) {
  const hand = view.data.components === 3 ? 'Drag to turn, with Alt to move' : 'Drag to move';
  const rows = [...KEYS.filter(([key]) => key), ['Shift + arrows', '', 'move the picture']];
  openSheet(view, 'How to use this page',
    element('p', 'Every point is a sample; points that are close in a layer are drawn close. Play, and see how each layer moves them; a point stays itself. A picture in the plane cannot show all: the chart says how much of each layer it shows.'),
    element('p', `${hand}; scroll or pinch to come closer. Click a point to see what it is and its path. Drag with shift to select. Click a name in the legend to hide its class, with shift to select it.`),
    element('dl.ll-keys', rows.map(([key, , words]) => element('div', element('dt', element('kbd', key)), element('dd', words)))));
}
