// The notebook's entry: an anywidget's model and element.

import { assembled } from './data.js';
import { listed } from './query.js';
import { mount } from './view.js';

/** @param {{get: (name: string) => any}} model an anywidget model @returns {import('./types.js').Data} */
export function fromModel(model) {
  const trait = (/** @type {string} */ name) => model.get(name.replaceAll('-', '_'));
  const parsed = (/** @type {any} */ value) => (typeof value === 'string' ? JSON.parse(value) : value);
  const bytes = (/** @type {string} */ name) => {
    const value = trait(name);
    if (!value) return null;
    // a copy of its own: a view into a message may begin at an odd address
    return value instanceof DataView || ArrayBuffer.isView(value)
      ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice()
      : new Uint8Array(value).slice();
  };
  const json = (/** @type {string} */ name) => {
    const value = trait(name);
    return value && (value instanceof ArrayBuffer || ArrayBuffer.isView(value))
      ? JSON.parse(new TextDecoder().decode(bytes(name) ?? undefined))
      : parsed(value);
  };
  return assembled({ head: parsed(trait('head')), bytes, json });
}

/**
 * @param {{model: any, el: HTMLElement}} widget
 * @returns {() => void} ends it
 */
export function render({ model, el }) {
  const height = Number(model.get('height')) || 640;
  el.style.height = `${height}px`;
  const data = fromModel(model);
  el.dataset.lmSuppressShortcuts = 'true'; // JupyterLab looks before the page hears of a key
  const { jpThemeLight } = document.body.dataset;
  const view = mount(el, data, jpThemeLight === undefined ? {} : { theme: jpThemeLight === 'false' ? 'dark' : 'light' });
  let telling = false;
  /** @param {Record<string, any>} traits */
  const tell = (traits) => {
    if (telling) return;
    for (const [name, value] of Object.entries(traits)) model.set(name, value);
    model.save_changes();
  };
  view.on('selection', (state) => tell({ selection: listed(state.selection) }));
  view.on('pick', (state) => tell({ pick: state.pick }));
  view.on('hover', (state) => tell({ hover: state.hover }));
  view.on('layer', (state) => tell({ layer: data.layers[state.t].name }));
  const names = ['selection', 'pick', 'hover', 'layer'];
  const told = names.map((name) => {
    const follow = () => {
      telling = true; // what comes from Python does not go back to it
      view.set({ [name]: model.get(name) });
      telling = false;
    };
    model.on(`change:${name}`, follow);
    return () => model.off(`change:${name}`, follow);
  });
  view.set({ layer: model.get('layer'), selection: model.get('selection') ?? [], pick: model.get('pick') ?? -1 });
  return () => {
    told.forEach((end) => end());
    view.destroy();
  };
}
