// Small things that every part of the page needs.

/** Keep x between low and high. @param {number} x @param {number} low @param {number} high */
export function clamp(x, low, high) {
  return x < low ? low : x > high ? high : x;
}

/**
 * What an element is made of. Nodes and texts go into it, texts as text and never as markup; the names of any other
 * object become properties where the element has them, else attributes, and `onclick` listens; lists are opened, what is
 * not there is passed over.
 * @typedef {Node | string | false | null | undefined | Record<string, any>} Part
 */

/** @param {Element} node @param {Part[]} parts */
function fill(node, parts) {
  for (const part of parts.flat(Infinity))
    if (typeof part === 'string' || part instanceof Node) node.append(part);
    else
      for (const [name, value] of Object.entries(part || {}))
        if (typeof value === 'function') node.addEventListener(name.slice(2), value);
        else if (name in node && !(node instanceof SVGElement)) /** @type {any} */ (node)[name] = value;
        else node.setAttribute(name, String(value));
}

/**
 * Make an element: `element('p.ll-hint', {title}, 'text', node)`.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T | `${T}.${string}`} kind the tag, and behind a point its classes
 * @param {...Part} parts
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(kind, ...parts) {
  const [tag, classes] = kind.split('.');
  const node = document.createElement(tag);
  if (classes) node.className = classes;
  fill(node, parts);
  return /** @type {any} */ (node);
}

/**
 * The same of SVG.
 * @param {string} kind
 * @param {...Part} parts
 * @returns {SVGElement}
 */
export function drawing(kind, ...parts) {
  const [tag, classes] = kind.split('.');
  const node = /** @type {SVGElement} */ (document.createElementNS('http://www.w3.org/2000/svg', tag));
  if (classes) node.setAttribute('class', classes);
  fill(node, parts);
  return node;
}

/** Put other parts into an element. @param {Element} node @param {...Part} parts */
export function refill(node, ...parts) {
  node.replaceChildren();
  fill(node, parts);
}

/**
 * A button that says what it does and by which key.
 * @param {string} text
 * @param {string} title
 * @param {string} key
 * @param {(event: MouseEvent) => void} onclick
 * @param {...Part} parts
 */
export function button(text, title, key, onclick, ...parts) {
  return element('button', { type: 'button', title: key ? `${title} (${key})` : title, onclick },
    key && { 'aria-keyshortcuts': key }, text.length < 3 && { 'aria-label': title }, text, ...parts);
}

/** A box whose parts belong together, for those who do not see that. @param {string} kind @param {string} label @param {...Part} parts */
export function group(kind, label, ...parts) {
  return element(/** @type {'div'} */ (kind), { role: 'group', 'aria-label': label }, ...parts);
}

/** Say whether a button is pressed. @param {Element} node @param {boolean} on */
export function pressed(node, on) {
  node.setAttribute('aria-pressed', String(on));
}

/** A text from anywhere, apart from the direction of what stands around it. @param {unknown} text @param {number} [most] */
export function quoted(text, most) {
  return element('bdi', printable(text, most));
}

/**
 * Hear of events for as long as there is the view.
 * @param {{signal: AbortSignal}} view @param {EventTarget} target @param {string} names
 * @param {(event: any) => void} f @param {AddEventListenerOptions} [options]
 */
export function listen({ signal }, target, names, f, options) {
  for (const name of names.split(' ')) target.addEventListener(name, f, { signal, ...options });
}

/** @param {{signal: AbortSignal}} view @param {() => void} f what is to be done when the view ends */
export function atEnd({ signal }, f) {
  signal.addEventListener('abort', f);
}

/** @param {{signal: AbortSignal}} view @param {Element} node @param {() => void} f what is to be done when its size changes */
export function onResize(view, node, f) {
  const watcher = new ResizeObserver(f);
  watcher.observe(node);
  atEnd(view, () => watcher.disconnect());
}

// controls, and the marks that turn the direction of all that follows
// eslint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]+/g;

/**
 * Make a text from anywhere fit to be shown: on one line, of bounded length.
 * @param {unknown} text
 * @param {number} [most] characters
 */
export function printable(text, most = 50) {
  const whole = String(text);
  const start = [...whole.slice(0, 4 * most).replace(UNPRINTABLE, ' ')];
  return start.length > most || whole.length > 4 * most
    ? start.slice(0, most - 1).join('') + '…'
    : start.join('');
}

/** A figure with three digits, `.931`. @param {number} x */
export function figure(x) {
  if (!Number.isFinite(x)) return '–';
  const size = Math.abs(x);
  if (size !== 0 && (size < 0.001 || size >= 1e6)) return x.toExponential(1);
  return size >= 1000 ? count(Math.round(x)) : String(+x.toPrecision(size < 1 ? 2 : 3));
}

/** A count with its thousands apart. @param {number} x */
export function count(x) {
  return String(x).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** @param {number} x @param {string} one @param {string} [many] */
export function counted(x, one, many = one + 's') {
  return `${count(x)} ${x === 1 ? one : many}`;
}

/** @param {number} share of one, as a per cent */
export function percent(share) {
  return `${Math.round(100 * share)} %`;
}

/** The time in milliseconds. */
export function now() {
  return performance.now();
}

/** How far along the thing that was clicked the pointer was, from 0 to 1. @param {MouseEvent} event */
export function along(event) {
  const { left, width } = /** @type {Element} */ (event.currentTarget).getBoundingClientRect();
  return (event.clientX - left) / width;
}

/** True where the user asked the system for less motion. */
export function still() {
  return matchMedia('(prefers-reduced-motion: reduce)').matches;
}
