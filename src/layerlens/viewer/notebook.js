// The notebook's entry: an anywidget's model and element.

import { fromModel } from './data.js';
import { listed } from './query.js';
import { mount } from './view.js';

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
