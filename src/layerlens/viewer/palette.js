// Colours and shapes that tell classes apart, also for colour-blind people, on light and dark grounds.

/** @param {string} text six hexadecimal digits a colour @returns {number[][]} */
export function hexes(text) {
  return text.split(' ').map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
}

/**
 * Sequences of M. A. Petroff, arXiv:2107.02270, optimised for dichromats: the same as the figures
 * have. No more than ten colours are far apart for everyone; beyond ten they come again in another shape.
 * @type {Record<number, number[][]>}
 */
const PETROFF = {
  6: hexes('5790fc f89c20 e42536 964a8b 9c9ca1 7a21dd'),
  8: hexes('1845fb ff5e02 c91f16 c849a9 adad7d 86c8dd 578dff 656364'),
  10: hexes('3f90da ffa90e bd1f01 94a4a2 832db6 a96b59 e76300 b9ac70 717581 92dadd'),
};

/** M. Okabe and K. Ito, Color Universal Design, without black. */
const OKABE = hexes('0072b2 e69f00 009e73 cc79a7 56b4e9 d55e00 b8a800');

/** Nine stops of viridis, from low to high. */
const VIRIDIS = hexes('440154 472c7a 3b518b 2c718e 21908d 27ad81 5cc863 aadc32 fde725');

/** Names of the palettes, the first is the default. */
export const PALETTES = ['petroff', 'okabe'];

/** How many shapes there are: disc, triangle, square, cross, diamond, triangle down, ring. */
export const SHAPES = 7;


/** As style sheets and canvases have it. @param {number[]} color */
export function cssColor([r, g, b]) {
  return `rgb(${r},${g},${b})`;
}

/** One number as an image's bytes have it. @param {ArrayLike<number>} color */
export function packed(color) {
  return (0xff000000 | (color[2] << 16) | (color[1] << 8) | color[0]) >>> 0;
}

/** @param {number} color packed @returns {number[]} */
export function unpacked(color) {
  return [color & 255, (color >> 8) & 255, (color >> 16) & 255];
}

/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b @param {number} share of b @returns {number[]} */
export function mixed(a, b, share) {
  return [0, 1, 2].map((i) => Math.round(a[i] + (b[i] - a[i]) * share));
}

/** Relative luminance by WCAG 2. @param {ArrayLike<number>} color */
export function luminance(color) {
  const [r, g, b] = [0, 1, 2].map((i) => {
    const x = color[i] / 255;
    return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** What is behind the points, what is written on it, what is not known. */
const GROUNDS = {
  light: { ground: [255, 255, 255], ink: '#14171c', unknown: [205, 208, 213] },
  dark: { ground: [20, 22, 27], ink: '#f4f6fa', unknown: [84, 88, 97] },
};

/** @param {"light" | "dark"} theme colour behind the points */
export function ground(theme) {
  return GROUNDS[theme].ground;
}

/** @param {"light" | "dark"} theme colour of what is written on the points' ground */
export function inkOf(theme) {
  return GROUNDS[theme].ink;
}

/**
 * Colour and shape of each of so many classes.
 * @param {number} classes @param {string} palette @param {"light" | "dark"} theme
 * @returns {{color: number[], shape: number}[]}
 */
export function classStyles(classes, palette, theme) {
  const size = classes <= 6 ? 6 : classes <= 8 ? 8 : 10;
  const colors = (palette === 'okabe' ? OKABE : PETROFF[size]).map((color) => legible(color, theme));
  return Array.from({ length: classes }, (_, i) => ({
    color: colors[i % colors.length],
    shape: Math.floor(i / colors.length) % SHAPES,
  }));
}

/** A dark colour is lifted off a dark ground until it stands out by 3 to 1. @param {number[]} color @param {"light" | "dark"} theme */
function legible(color, theme) {
  const back = luminance(ground(theme));
  let out = color;
  for (let step = 1; theme === 'dark' && step < 10 && (luminance(out) + 0.05) / (back + 0.05) < 3; step++)
    out = mixed(color, [255, 255, 255], step / 10);
  return out;
}

/** @param {number} share 0 to 1 @param {"light" | "dark"} theme the end that the ground would swallow is left out */
export function rampColor(share, theme) {
  const place = 8 * (theme === 'dark' ? 0.18 + 0.82 * share : 0.92 * share);
  const i = Math.min(7, Math.floor(place));
  return mixed(VIRIDIS[i], VIRIDIS[i + 1], place - i);
}

/** Colour of what is not known. @param {"light" | "dark"} theme */
export function unknownColor(theme) {
  return GROUNDS[theme].unknown;
}
