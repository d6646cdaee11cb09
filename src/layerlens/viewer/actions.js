// What keys and buttons do, by name.

import { depthTable } from './depth.js';
import { MODES, openHelp, openSheet, SWITCHES } from './keys.js';
import { changers, doubtful, mistakes, movers, searched } from './query.js';
import { unturned } from './turning.js';
import { counted, printable } from './util.js';

/**
 * @param {import('./types.js').View} view
 */
export function createActions(view) {
  const { data, store, state, actions } = view;
  const { n, layers } = data;
  const last = layers.length - 1;
  const nameOf = (/** @type {number} */ layer) => printable(layers[layer].name);
  const shown = (/** @type {number} */ row) => !view.visible || view.visible[row] === 1;

  view.select = (rows, add) => store.set({ selection: add ? rows.map((on, r) => on | state.selection[r]) : rows });

  /** @param {Uint8Array} rows @param {string} what */
  function found(rows, what) {
    view.select(rows);
    view.say(`${counted(state.selected, 'point')} ${what}.`);
  }

  /**
   * Select what sets this layer apart from the next; at the end the last two are meant.
   * @param {(data: import('./types.js').Data, from: number, to: number) => Uint8Array} question @param {string} what
   */
  function between(question, what) {
    const from = Math.max(0, Math.min(view.layer, last - 1));
    const to = Math.min(from + 1, last);
    found(question(data, from, to), `${what} between ${nameOf(from)} and ${nameOf(to)}`);
  }

  /** @param {number} step */
  function pickNext(step) {
    let r = state.pick < 0 && step < 0 ? 0 : state.pick;
    for (let i = 0; i < n; i++) {
      r = (r + step + n) % n;
      if ((!state.selected || state.selection[r]) && shown(r)) return store.set({ pick: r });
    }
  }

  for (const name of /** @type {const} */ ([...SWITCHES, 'align'])) actions[name] = () => store.set({ [name]: !state[name] });
  for (const mode of MODES) actions[mode] = () => store.set({ mode: state.mode === mode ? 'move' : mode });
  Object.assign(actions, {
    play: () => view.play(!state.playing),
    next: () => view.go(state.goal + 1), previous: () => view.go(state.goal - 1), first: () => view.go(0), last: () => view.go(last),
    closer: () => view.zoom(1.3), farther: () => view.zoom(1 / 1.3),
    fit: () => {
      view.fit();
      store.set({ spin: unturned() });
    },
    invert: () => view.select(state.selection.map((on, r) => Number(!on && shown(r)))),
    clear: () => store.set({ selection: new Uint8Array(n), pick: -1, hover: -1, mode: 'move', align: false }),
    toggle: (/** @type {number | undefined} */ row = state.pick) => row >= 0 && view.select(state.selection.map((on, r) => Number(r === row) ^ on)),
    nextChosen: () => pickNext(1), previousChosen: () => pickNext(-1),
    undo: () => store.undo() || view.say('Nothing to undo.'), redo: () => store.redo() || view.say('Nothing to do again.'),
    theme: () => store.set({ theme: state.theme === 'dark' ? 'light' : 'dark' }),
    table: () => openSheet(view, 'What each layer knows, and what its picture shows', depthTable(view)),
    help: () => openHelp(view),
    mistakes: () => found(mistakes(data), 'predicted wrongly'),
    movers: () => between(movers, 'that move most'),
    changers: () => between(changers, 'whose neighbours change class'),
    doubtful: () => data.stress && found(doubtful(data, view.layer), `to be believed least in ${nameOf(view.layer)}`),
  });
  view.searchFor = (text) => found(searched(data, text), text.trim() ? 'found' : 'selected');
}
