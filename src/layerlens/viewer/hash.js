// The view in the address: layer, colour, pick, selection. A link opens what was seen.

import { listed, marked } from './query.js';

const MOST_LISTED = 200;

/** @param {Record<string, string>} parts empty ones are left out */
export function encodeHash(parts) {
  const given = Object.entries(parts).filter(([, value]) => value !== '');
  return given.length ? '#' + given.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&') : '';
}

/** @param {string} hash @returns {Record<string, string>} */
export function decodeHash(hash) {
  return Object.fromEntries(new URLSearchParams(hash.slice(1)));
}

/**
 * Rows as text: few by number (base 36), many as a bitmap (after `~`, eight rows a byte, in base64).
 * @param {Uint8Array} selection
 */
export function encodeRows(selection) {
  const rows = listed(selection);
  if (rows.length <= MOST_LISTED) return rows.map((r) => r.toString(36)).join('.');
  const bytes = new Uint8Array(Math.ceil(selection.length / 8));
  for (const r of rows) bytes[r >> 3] |= 1 << (r & 7);
  return '~' + btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}

/** The row that a number in the address means, -1 for none. @param {string} text */
export function decodeRow(text) {
  return /^[0-9a-z]{1,6}$/.test(text) ? parseInt(text, 36) : -1;
}

/** @param {string} text @param {number} n */
export function decodeRows(text, n) {
  if (text[0] !== '~') return marked(n, text.split('.').map(decodeRow));
  let bytes = '';
  try {
    bytes = atob(text.slice(1));
  } catch {
    // what was written by hand, or cut
  }
  return new Uint8Array(n).map((_, r) => (bytes.charCodeAt(r >> 3) >> (r & 7)) & 1);
}
