// The view in the address: layer, colour, pick, selection. A link opens what was seen.

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const MOST_LISTED = 200;

/** @param {Record<string, string>} parts empty ones are left out */
export function encodeHash(parts) {
  const given = Object.entries(parts).filter(([, value]) => value !== '');
  return given.length ? '#' + given.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&') : '';
}

/** @param {string} hash @returns {Record<string, string>} what cannot be read is left out */
export function decodeHash(hash) {
  /** @type {Record<string, string>} */
  const parts = {};
  for (const part of hash.replace(/^#/, '').split('&')) {
    const at = part.indexOf('=');
    if (at < 1) continue;
    try {
      parts[part.slice(0, at)] = decodeURIComponent(part.slice(at + 1));
    } catch {
      continue; // a broken escape
    }
  }
  return parts;
}

/**
 * Rows as text: few by number (base 36), many as a bitmap (six rows a character, after `~`).
 * @param {Uint8Array} selection
 */
export function encodeRows(selection) {
  const rows = [];
  for (let r = 0; r < selection.length && rows.length <= MOST_LISTED; r++) if (selection[r]) rows.push(r);
  if (rows.length <= MOST_LISTED) return rows.map((r) => r.toString(36)).join('.');
  let text = '~';
  for (let r = 0; r < selection.length; r += 6) {
    let bits = 0;
    for (let b = 0; b < 6; b++) if (selection[r + b]) bits |= 1 << b;
    text += DIGITS[bits];
  }
  return text.replace(/A+$/, '');
}

/** @param {string} text @param {number} n */
export function decodeRows(text, n) {
  const selection = new Uint8Array(n);
  if (text.startsWith('~')) {
    for (let i = 1; i < text.length; i++) {
      const bits = DIGITS.indexOf(text[i]);
      for (let b = 0; b < 6; b++) {
        const r = (i - 1) * 6 + b;
        if (bits > 0 && bits & (1 << b) && r < n) selection[r] = 1;
      }
    }
  } else {
    for (const part of text.split('.')) {
      const r = /^[0-9a-z]{1,6}$/.test(part) ? parseInt(part, 36) : n;
      if (r < n) selection[r] = 1;
    }
  }
  return selection;
}
