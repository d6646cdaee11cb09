// The page's state: what changed is told to those who listen; what was done can be undone.

const UNDOABLE = /** @type {const} */ (['by', 'selection', 'pick', 'hidden', 'align']);
const MOST_STEPS = 60;

/**
 * @param {import('./types.js').State} state
 * @returns {import('./types.js').Store}
 */
export function createStore(state) {
  /** @type {Set<{names: string[], f: (state: import('./types.js').State) => void}>} */
  const listeners = new Set();
  /** @type {Partial<import('./types.js').State>[]} */
  const past = [];
  /** @type {Partial<import('./types.js').State>[]} */
  const future = [];
  const kept = () => Object.fromEntries(UNDOABLE.map((name) => [name, state[name]]));

  /** @param {Partial<import('./types.js').State>} patch */
  function change(patch) {
    const changed = Object.keys(patch).filter((name) => /** @type {any} */ (state)[name] !== /** @type {any} */ (patch)[name]);
    if (!changed.length) return;
    Object.assign(state, patch);
    if (changed.includes('selection')) state.selected = state.selection.reduce((sum, x) => sum + x, 0);
    for (const { names, f } of [...listeners]) if (names.some((name) => changed.includes(name))) f(state);
  }

  /** @param {Partial<import('./types.js').State>[]} from @param {Partial<import('./types.js').State>[]} to */
  function step(from, to) {
    const patch = from.pop();
    if (!patch) return false;
    to.push(kept());
    change(patch);
    return true;
  }

  return {
    state,
    set(patch, forget = false) {
      if (!forget && UNDOABLE.some((name) => name in patch && patch[name] !== state[name])) {
        past.push(kept());
        if (past.length > MOST_STEPS) past.shift();
        future.length = 0;
      }
      change(patch);
    },
    on(names, f) {
      const entry = { names: names.split(' '), f };
      listeners.add(entry);
      return () => listeners.delete(entry);
    },
    undo: () => step(past, future),
    redo: () => step(future, past),
  };
}
