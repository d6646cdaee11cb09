// What keys and buttons do, by name.

import { depthTable } from './depth.js';
import { openSheet } from './keys.js';
import { changers, doubtful, listed, mistakes, movers, searched } from './query.js';
import { unturned } from './turning.js';
import { counted, printable } from './util.js';

/**
 * @param {import('./types.js').View} view
 */
export function createActions(view) {
  const { data, store, state, actions } = view;
  const last = data.layers.length - 1;
  const nameOf = (/** @type {number} */ layer) => printable(data.layers[layer].name, 40);
  /** The layers that "between this and the next" means: at the end the last two. */
  const pair = () => {
    const from = Math.min(view.layer, Math.max(last - 1, 0));
    return { from, to: Math.min(from + 1, last) };
  };

  view.select = (rows, add = false) => {
    const next = rows.slice();
    if (add) for (let r = 0; r < next.length; r++) next[r] |= state.selection[r];
    store.set({ selection: next });
  };

  /** @param {Uint8Array} rows @param {string} what */
  function found(rows, what) {
    view.select(rows);
    view.say(`${counted(state.selected, 'point')} ${what}.`);
  }

  /** @param {number} step */
  function stepThrough(step) {
    const { n } = data;
    const rows = state.selected ? state.selection : null;
    let r = state.pick < 0 && step < 0 ? 0 : state.pick;
    for (let i = 0; i < n; i++) {
      r = (r + step + n) % n;
      if ((!rows || rows[r]) && (!view.visible || view.visible[r])) return store.set({ pick: r });
    }
  }

  Object.assign(actions, {
    play: () => view.play(!state.playing),
    next: () => view.go(state.goal + 1), previous: () => view.go(state.goal - 1), first: () => view.go(0), last: () => view.go(last),
    closer: () => view.zoom(1.3), farther: () => view.zoom(1 / 1.3),
    fit: () => {
      view.fit();
      if (data.components === 3) store.set({ spin: unturned() });
    },
    lasso: () => store.set({ mode: state.mode === 'lasso' ? 'move' : 'lasso' }), box: () => store.set({ mode: state.mode === 'box' ? 'move' : 'box' }),
    invert: () => view.select(state.selection.map((x, r) => (!x && (!view.visible || view.visible[r]) ? 1 : 0))),
    clear: () => store.set({ selection: new Uint8Array(data.n), pick: -1, hover: -1, mode: 'move', align: false }),
    toggle: (/** @type {number | undefined} */ row = state.pick) => {
      if (row < 0) return;
      const selection = state.selection.slice();
      selection[row] ^= 1;
      store.set({ selection });
    },
    nextChosen: () => stepThrough(1), previousChosen: () => stepThrough(-1),
    undo: () => void (store.undo() || view.say('Nothing to undo.')), redo: () => void (store.redo() || view.say('Nothing to do again.')),
    grid: () => store.set({ grid: !state.grid }), contours: () => store.set({ contours: !state.contours }), images: () => data.thumbnails && store.set({ images: !state.images }),
    theme: () => store.set({ theme: state.theme === 'dark' ? 'light' : 'dark' }),
    table: () => openSheet(view, 'What each layer knows, and what its picture shows', ...depthTable(view)),
    mistakes: () => found(mistakes(data), 'predicted wrongly'),
    movers: () => {
      const { from, to } = pair();
      found(movers(data, from, to), `that move most between ${nameOf(from)} and ${nameOf(to)}`);
    },
    changers: () => {
      const { from, to } = pair();
      found(changers(data, from, to), `whose neighbours change class between ${nameOf(from)} and ${nameOf(to)}`);
    },
    doubtful: () => data.stress && found(doubtful(data, view.layer), `to be believed least in ${nameOf(view.layer)}`),
  });
  return { searchFor: (/** @type {string} */ text) => found(searched(data, text), text.trim() ? 'found' : 'selected'), selectedRows: () => listed(state.selection) };
}
