// Small things that every part of the page needs.

/** Keep x between low and high. @param {number} x @param {number} low @param {number} high */
export function clamp(x, low, high) {
  return x < low ? low : x > high ? high : x;
}

/** @param {Element} node @param {Record<string, any>} props */
function assign(node, props) {
  for (const [name, value] of Object.entries(props)) {
    if (name in node && !(node instanceof SVGElement)) /** @type {any} */ (node)[name] = value;
    else if (value !== null && value !== undefined) node.setAttribute(name, String(value));
  }
}

/**
 * Make an element. Texts go in as text, never as markup.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [props] properties where the element has them, else attributes
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  assign(node, props);
  node.append(...children);
  return node;
}

/**
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string)} children
 * @returns {SVGElement}
 */
export function drawing(tag, attributes = {}, ...children) {
  const node = /** @type {SVGElement} */ (document.createElementNS('http://www.w3.org/2000/svg', tag));
  assign(node, attributes);
  node.append(...children);
  return node;
}

/**
 * Say what a control does and by which key.
 * @param {string} text
 * @param {string} title
 * @param {string} key
 * @param {() => void} act
 * @param {string} [className]
 */
export function button(text, title, key, act, className = '') {
  const node = element('button', { type: 'button', textContent: text, className });
  node.title = key ? `${title} (${key})` : title;
  node.setAttribute('aria-label', text.length > 2 ? text : title);
  if (key) node.setAttribute('aria-keyshortcuts', key);
  node.addEventListener('click', act);
  return node;
}

// controls, and the marks that turn the direction of all that follows
// eslint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]+/g;

/**
 * Make a text from anywhere fit to be shown: on one line, of bounded length.
 * @param {unknown} text
 * @param {number} [most] characters
 */
export function printable(text, most = 120) {
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

/** Base64 text to bytes. @param {string} text */
export function decode64(text) {
  const quick = /** @type {any} */ (Uint8Array).fromBase64;
  if (quick) return /** @type {Uint8Array<ArrayBuffer>} */ (quick.call(Uint8Array, text));
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/** True where the user asked the system for less motion. */
export function still() {
  return matchMedia('(prefers-reduced-motion: reduce)').matches;
}
