// The modules as one script, by the rules of FORMAT.md, to measure and to check them.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const folder = join(dirname(fileURLToPath(import.meta.url)), '../../src/layerlens/viewer');

/** The names of the modules, in order. */
export function moduleNames() {
  return readFileSync(join(folder, 'order.txt'), 'utf8').split('\n').map((line) => line.trim()).filter(Boolean);
}

/** A source without comments, empty lines and blanks at the ends of lines. @param {string} text */
export function stripped(text) {
  const out = [];
  let comment = false;
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (!comment && line.startsWith('/*')) comment = true;
    if (comment) {
      if (line.endsWith('*/')) comment = false;
      continue;
    }
    if (line && !line.startsWith('//')) out.push(line);
  }
  return out.join('\n') + '\n';
}

/** Names that a module imports. @param {string} name */
export function importedNames(name) {
  return [...readFileSync(join(folder, name), 'utf8').matchAll(/^import \{ ([^}]+) \}/gm)].flatMap(([, names]) => names.split(', '));
}

/** The script of all modules, or of some. @param {string[]} [names] @param {(source: string) => string} [before] done to each first */
export function bundle(names = moduleNames(), before = (source) => source) {
  return names.map((name) => stripped(before(readFileSync(join(folder, name), 'utf8')))
    .split('\n').filter((line) => !line.startsWith('import ')).map((line) => line.replace(/^export /, '').replace(/\/\*\* .*? \*\/ ?/g, '')).join('\n')).join('');
}

/** The style, or that of a piece. */
export function style(name = 'viewer') {
  return stripped(readFileSync(join(folder, `${name}.css`), 'utf8'));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(process.argv[2] === 'css' ? style() : bundle());
