// Going through depth: a step, a glide, play. With less motion wanted, glides become steps.

import { atEnd, clamp, now, still } from './util.js';

const GLIDE = 520; // ms from one layer to the next
const PLAYED = 975; // the same while playing
const REST = 325; // ms that points rest at a layer while playing

/** Slow at both ends. @param {number} f */
export function eased(f) {
  return f * f * f * (f * (6 * f - 15) + 10);
}

/**
 * @param {import('./types.js').View} view
 */
export function createTravel(view) {
  const { store, state, data } = view;
  const last = data.layers.length - 1;
  let frame = 0, timer = 0;
  const stop = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
  };

  /** @param {number} t */
  function seek(t) {
    stop();
    const to = clamp(t, 0, last);
    store.set({ t: to, goal: Math.round(to), playing: false, hover: -1 });
  }

  /** @param {number} goal @param {number} time ms @param {() => void} [then] */
  function glide(goal, time, then) {
    stop();
    const from = state.t;
    const start = now();
    store.set({ goal, playing: then !== undefined, hover: -1 });
    const step = () => {
      const f = still() || from === goal ? 1 : clamp((now() - start) / time, 0, 1);
      store.set({ t: f < 1 ? from + (goal - from) * eased(f) : goal });
      if (f < 1) frame = requestAnimationFrame(step);
      else then?.();
    };
    step();
  }

  /** @param {number} layer */
  function go(layer) {
    const goal = clamp(Math.round(layer), 0, last);
    glide(goal, GLIDE * clamp(Math.sqrt(Math.abs(goal - state.t)), 1, 1.8));
  }

  /** @param {boolean} on */
  function play(on) {
    if (!on) return go(state.goal);
    if (state.t >= last) seek(0);
    const next = () => {
      if (state.t >= last) return store.set({ playing: false });
      const goal = Math.floor(state.t) + 1;
      // who wants less motion gets steps, as far apart
      glide(goal, PLAYED * (goal - state.t), () => (timer = setTimeout(next, still() ? REST + PLAYED : REST)));
    };
    next();
  }

  atEnd(view, stop);
  Object.assign(view, { seek, go, play });
}
