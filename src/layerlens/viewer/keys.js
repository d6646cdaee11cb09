// The keyboard does all that the pointer does. The list is also the help sheet.

import { button, element } from './util.js';

/**
 * Keys, what they do, and in what words.
 * @type {[string, string, string][]} keys as pressed, action, words
 */
export const KEYS = [
  ['Space', 'play', 'play, or stop'],
  ['ArrowRight', 'next', 'next layer'],
  ['ArrowLeft', 'previous', 'layer before'],
  ['Home', 'first', 'first layer'],
  ['End', 'last', 'last layer'],
  ['N', 'nextChosen', 'next selected point; of all, if none is'],
  ['P', 'previousChosen', 'selected point before'],
  ['Enter', 'toggle', 'add the picked point to the selection, or take it out'],
  ['/', 'search', 'search'],
  ['L', 'lasso', 'lasso; with shift it adds'],
  ['B', 'box', 'box; with shift it adds'],
  ['M', 'mistakes', 'select the wrong predictions'],
  ['I', 'invert', 'invert the selection'],
  ['Escape', 'clear', 'clear the selection and the pick'],
  ['U', 'undo', 'undo (also ctrl Z)'],
  ['C', 'nextColor', 'colour by the next column'],
  ['G', 'grid', 'all layers side by side'],
  ['V', 'contours', 'contours'],
  ['X', 'images', 'images'],
  ['T', 'table', 'figures of all layers, as a table'],
  ['F', 'fit', 'whole picture'],
  ['+', 'closer', 'closer'],
  ['-', 'farther', 'farther'],
  ['D', 'theme', 'light or dark'],
  ['?', 'help', 'this sheet'],
];

/** @param {import('./types.js').View} view */
export function listenToKeys(view) {
  const names = new Map(KEYS.map(([key, action]) => [key === 'Space' ? ' ' : key.toLowerCase(), action]));
  names.set('=', 'closer').set('_', 'farther');
  const target = view.options.page ? document : view.root;
  target.addEventListener('keydown', (raw) => {
    const event = /** @type {KeyboardEvent} */ (raw);
    const from = /** @type {HTMLElement} */ (event.target);
    if (from.closest?.('dialog')) return;
    const typing = from.matches?.('input[type=search], select, textarea');
    const low = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && low === 'z' && !typing) {
      event.preventDefault();
      return event.shiftKey ? view.actions.redo() : view.actions.undo();
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (typing) {
      if (low === 'escape') from.blur();
      return;
    }
    const pressing = from.matches?.('button, summary, a, input[type=checkbox]');
    if (pressing && (low === ' ' || low === 'enter')) return;
    if (event.shiftKey && low.startsWith('arrow')) {
      const sides = /** @type {Record<string, [number, number]>} */ ({ arrowleft: [40, 0], arrowright: [-40, 0], arrowup: [0, 40], arrowdown: [0, -40] });
      const [x, y] = sides[low];
      const { camera } = view.state;
      event.preventDefault();
      return view.store.set({ camera: { ...camera, x: camera.x + x, y: camera.y + y } });
    }
    const action = names.get(low);
    if (!action) return;
    event.preventDefault();
    if (!view.options.page) event.stopPropagation(); // a notebook has keys of its own: x cuts a cell
    view.actions[action]();
  }, { signal: view.signal });
}

/**
 * A dialog that closes by its button, Esc, or a click beside it.
 * @param {import('./types.js').View} view @param {string} title @param {...Node} content
 */
export function openSheet(view, title, ...content) {
  view.root.querySelector('dialog')?.remove();
  const sheet = element('dialog', { className: 'll-sheet' });
  sheet.setAttribute('aria-label', title);
  const close = () => {
    sheet.close();
    sheet.remove();
  };
  sheet.append(element('header', {}, element('h2', { textContent: title }), button('Close', 'close this sheet', 'Esc', close)), ...content);
  sheet.addEventListener('click', (event) => event.target === sheet && close());
  sheet.addEventListener('close', () => sheet.remove());
  view.root.append(sheet);
  sheet.showModal();
}

/** @param {import('./types.js').View} view */
export function openHelp(view) {
  const rows = KEYS.map(([key, , words]) => element('div', {}, element('dt', {}, element('kbd', { textContent: key.replace('Arrow', 'Arrow ') })), element('dd', { textContent: words })));
  rows.push(element('div', {}, element('dt', {}, element('kbd', { textContent: 'Shift + arrows' })), element('dd', { textContent: 'move the picture' })));
  const hand = view.data.components === 3
    ? 'Drag to turn, with Alt to move; scroll or pinch to come closer.'
    : 'Drag to move, scroll or pinch to come closer.';
  openSheet(view, 'How to use this page',
    element('p', { textContent: 'Every point is a sample; points that are close in a layer are drawn close. Play, and see how each layer of the network moves them; a point keeps its colour and stays itself. A picture in the plane cannot show all: the chart says how much of each layer it shows.' }),
    element('p', { textContent: `${hand} Click a point to see what it is and its path. Drag with shift held to select. Click a name in the legend to hide its class, with shift to select it. A search is an id, a label, or a rule such as label=3.` }),
    element('dl', { className: 'll-keys' }, ...rows));
}
