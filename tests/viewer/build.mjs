// What ships: the modules and the style, made small. `npm run build` writes the files that lie beside the sources;
// `node build.mjs --check` says whether they are those of the sources. Sources stay plain: what is done to them is done here.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { minify } from 'terser';
import { bundle, folder, importedNames, moduleNames, style } from './bundle.mjs';

/** What a file says of itself; its last word changes with the sources. @param {string} sources */
const head = (sources) => `/* layerlens, MIT licence; sources: src/layerlens/viewer ${createHash('sha256').update(sources).digest('hex').slice(0, 12)} */\n`;

/** Modules that only some pages need, each a file of its own, which comes behind page.js and reads what that gives away. */
const PIECES = ['gl', 'space', 'steps', 'alike', 'notebook'];

/** Pieces that have a style of their own. */
const STYLED = ['steps', 'alike'];

/** Classes that tests and others know the page's parts by (FORMAT.md): they keep their names. */
const HOOKS = ['over', 'points', 'detail', 'caption', 'live', 'legend', 'tip', 'stage', 'facts', 'by'].map((name) => `ll-${name}`);

/** Globals that are said often: within the script they have names of one letter. */
const GLOBALS = [
  'Number', 'String', 'Object', 'Array', 'Map', 'Set', 'Uint8Array', 'Uint16Array', 'Uint32Array', 'Int32Array', 'Float32Array',
  'Float64Array', 'document', 'performance', 'location', 'matchMedia', 'requestAnimationFrame', 'cancelAnimationFrame', 'setTimeout', 'clearTimeout', 'ResizeObserver', 'Boolean', 'Blob', 'parseInt',
];

/** Numbers that WebGL 2 has names for. */
const WEBGL = {
  POINTS: 0, SRC_ALPHA: 770, ONE_MINUS_SRC_ALPHA: 771, BLEND: 3042, UNSIGNED_BYTE: 5121, UNSIGNED_INT: 5125, FLOAT: 5126, RENDERER: 7937, COLOR_BUFFER_BIT: 16384,
  ARRAY_BUFFER: 34962, ELEMENT_ARRAY_BUFFER: 34963, DYNAMIC_DRAW: 35048, FRAGMENT_SHADER: 35632, VERTEX_SHADER: 35633, LINK_STATUS: 35714,
};

/** Properties of small objects within modules, which types.js does not have. */
const OURS = 'level shape count pixels parts side context view ink back image mark points node low high stops share recolor paintNow over canvas bar track figures'.split(' ');

/**
 * Properties of objects that our own modules make and read, and that nobody else knows: those of types.js, but for the
 * state, layers and columns, and but for names that the browser, the file or those who call the view also have.
 */
function ownProperties() {
  const theirs = 'data keys signal n total sheets kind missing label k rows width height screen color frames x y shown page renderer theme ratio name size state set on head table';
  const known = new Set(theirs.split(' '));
  const types = readFileSync(join(folder, 'types.js'), 'utf8').split('/**');
  const names = [...types.filter((part) => !/@typedef \{object\} (State|Layer|Column)\b/.test(part)).join('').matchAll(/@property \{.*\} \[?(\w+)/g)].map(([, name]) => name);
  for (const [, name] of types.filter((part) => /@typedef \{object\} (State|Layer|Column)\b/.test(part)).join('').matchAll(/@property \{.*\} \[?(\w+)/g)) known.add(name);
  // what is also said as a text is found by it: `actions['fit']`
  for (const [, name] of bundle().matchAll(/'(\w+)'/g)) known.add(name);
  // but for these, which data.js reads by quoted names, as the file has them
  for (const name of ['components', 'layers', 'columns', 'roles', 'neighbors', 'thumbnails', 'positions', 'present']) known.delete(name);
  known.delete('visible'); // the text is a style's
  return [...new Set([...names, ...OURS])].filter((name) => !known.has(name));
}

/** Short names for the classes, those that are used most first. @param {string} text */
function classNames(text) {
  const counts = new Map();
  for (const [name] of text.matchAll(/\bll-[a-z][a-z-]*/g)) if (!HOOKS.includes(name)) counts.set(name, (counts.get(name) ?? 0) + 1);
  const order = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  return new Map(order.map(([name], i) => [name, `L${i.toString(36)}`]));
}

/** A style without what only people read. @param {string} text */
export function smallStyle(text) {
  return text.replace(/\/\*.*?\*\//gs, '').replace(/\s+/g, ' ').replace(/ ?([{};,>]) ?/g, '$1').replace(/: /g, ':').replaceAll(';}', '}').trim() + '\n';
}

/** Shaders of one line, but for their first, and WebGL's constants as what they are. @param {string} text */
function smallShaders(text) {
  return text.replace(/\bgl\.([A-Z_]{4,})\b/g, (_, name) => {
    if (!(name in WEBGL)) throw new Error(`build.mjs does not know the number of gl.${name}`);
    return WEBGL[name];
  }).replace(/`(#version 300 es)\n([^`]*)`/g, (_, first, rest) => `\`${first}\\n${rest.replace(/\s+/g, ' ').replace(/ ?([-+*/=<>(){},;]) ?/g, '$1').replace(/\b0(\.\d)/g, '$1').trim()}\``);
}

/** A module's functions as arrows, which are shorter; none of them is called before it is there. @param {string} source */
const arrows = (source) => source.replace(/^(export )?function (\w+)(\(.*\)) \{$([^]*?)^\}$/gm, '$1const $2 = $3 => {$4};');

/** Every file that ships, by name. */
export async function built() {
  const css = style();
  const styles = [css, ...STYLED.map(style)].join('');
  const names = classNames(styles + bundle());
  const variables = [...new Set(css.match(/--\w+/g))];
  const renamed = (/** @type {string} */ text) => text.replace(/\bll-[a-z][a-z-]*/g, (name) => names.get(name) ?? name);
  const notice = head(bundle() + styles);
  const shortNotice = notice.replace(/;.*viewer/, '');
  const own = ownProperties();

  /**
   * @param {string} js @param {Record<string, string>} gives names that others call, and what is meant
   * @param {Record<string, string>} takes names that it uses, and what others call them @param {object} nameCache of properties, where files share them
   */
  async function small(js, gives, takes, nameCache) {
    const pays = (/** @type {string} */ name) => js.split(new RegExp(`\\b${name.replace('.', '\\.')}\\b`)).length > 2;
    const globals = GLOBALS.filter(pays);
    const math = [...new Set(js.match(/\bMath\.\w+/g))].sort().filter(pays);
    const params = [...globals, ...math.map((each) => each.replace('.', '_')), ...Object.keys(takes)];
    const body = math.reduce((text, each) => text.replaceAll(`${each}(`, `${each.replace('.', '_')}(`), smallShaders(renamed(js))).replace(/\bconst(?=[ [{])/g, 'let'); // the checks of the sources know that no constant is set again
    const outer = Object.keys(gives);
    const start = outer.length ? `let[${outer}]=` : '';
    const { code } = await minify(`${start}((${params})=>{${body};${outer.length ? `return[${Object.values(gives)}]` : ''}})(${[...globals, ...math, ...Object.values(takes)]});`, {
      ecma: 2022,
      compress: { ecma: 2022, passes: 4, pure_getters: true, hoist_funs: true, unsafe: true, unsafe_arrows: true, keep_fargs: false },
      mangle: { properties: { builtins: true, regex: new RegExp(`^(${own.join('|')})$`), keep_quoted: 'strict' } },
      format: { ecma: 2022, comments: false }, nameCache,
    });
    return `${outer.length ? notice : shortNotice}${code}\n`;
  }

  const pieces = PIECES.map((name) => `${name}.js`);
  const core = moduleNames().filter((name) => !pieces.includes(name));
  // what pieces use of the page is a list, which is short where there are none
  const shared = new Map([...new Set(pieces.flatMap((name) => importedNames(name)))].sort().map((name, i) => [name, `$[${i}]`]));
  const cache = {};
  /** @type {Record<string, string>} */
  const files = {};
  for (const [name, text] of [['style', css], ...STYLED.map((each) => [each, style(each)])])
    files[`${name}.css`] = shortNotice + renamed(smallStyle(text)).replace(/--\w+/g, (variable) => `--${String.fromCharCode(97 + variables.indexOf(variable))}`);
  files['page.js'] = await small(bundle(core, arrows), { mount: 'mount', fromPage: 'fromPage', $: `[${[...shared.keys()]}]` }, {}, cache);
  for (const name of pieces) files[name] = await small(bundle([name], arrows), name === 'notebook.js' ? { render: 'render' } : {}, Object.fromEntries(importedNames(name).map((each) => [each, shared.get(each)])), { props: cache.props });
  files['notebook.js'] += 'export default{render};\n';
  return files;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const files = await built();
  const check = process.argv.includes('--check');
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, 'built', name);
    if (!check) writeFileSync(path, text);
    else if (readFileSync(path, 'utf8') !== text) {
      process.stderr.write(`${name} is not what the sources give: npm run build, in tests/viewer, and commit it\n`);
      process.exitCode = 1;
    }
    process.stdout.write(`${String(Buffer.byteLength(text)).padStart(7)} ${name}\n`);
  }
}
