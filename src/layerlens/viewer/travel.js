// Going through depth: a step, a glide, play. With less motion wanted, glides become steps.

import { clamp, still } from './util.js';

const GLIDE = 520; // ms from one layer to the next
const PLAY = 1300; // ms a layer, of which the points rest a part

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

  /** @param {number} layer @param {boolean} [glide] */
  function go(layer, glide = true) {
    stop();
    const goal = clamp(Math.round(layer), 0, last);
    const from = state.t;
    store.set({ goal, playing: false, hover: -1 });
    if (!glide || still() || from === goal) return store.set({ t: goal });
    const time = GLIDE * Math.min(1.8, Math.max(1, Math.sqrt(Math.abs(goal - from))));
    const start = performance.now();
    const step = () => {
      const f = clamp((performance.now() - start) / time, 0, 1);
      store.set({ t: f < 1 ? from + (goal - from) * eased(f) : goal });
      if (f < 1) frame = requestAnimationFrame(step);
    };
    step();
  }

  /** @param {boolean} on */
  function play(on) {
    stop();
    if (!on) return go(state.playing ? Math.min(Math.ceil(state.t), last) : state.goal);
    if (state.t >= last) store.set({ t: 0, goal: 0 });
    store.set({ playing: true, hover: -1 });
    if (still()) {
      const step = () => {
        const goal = Math.min(Math.floor(state.t) + 1, last);
        store.set({ t: goal, goal, playing: goal < last });
        if (goal < last) timer = setTimeout(step, PLAY);
      };
      timer = setTimeout(step, PLAY / 2);
      return;
    }
    const first = state.t;
    const start = performance.now();
    const step = () => {
      const along = Math.min(last, first + (performance.now() - start) / PLAY);
      const i = Math.floor(along);
      // the points rest at a layer for a quarter of the time
      const t = i >= last ? last : Math.max(first, i + eased(clamp((along - i - 0.125) / 0.75, 0, 1)));
      store.set({ t, goal: Math.round(t), playing: along < last });
      if (along < last) frame = requestAnimationFrame(step);
    };
    step();
  }

  view.signal.addEventListener('abort', stop);
  Object.assign(view, { seek, go, play });
}
