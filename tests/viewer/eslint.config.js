import js from '@eslint/js';

const browser = Object.fromEntries([
  'document', 'window', 'location', 'history', 'navigator', 'matchMedia', 'devicePixelRatio', 'performance', 'requestAnimationFrame',
  'cancelAnimationFrame', 'setTimeout', 'clearTimeout', 'queueMicrotask', 'createImageBitmap', 'atob', 'btoa', 'Blob', 'URL', 'URLSearchParams', 'TextDecoder', 'AbortController', 'ResizeObserver', 'Path2D', 'SVGElement', 'Node',
].map((name) => [name, 'readonly']));

/** What would let data become code, in the page. */
const inert = ['innerHTML', 'outerHTML', 'insertAdjacentHTML', 'write', 'setHTMLUnsafe', 'srcdoc'].map((property) => ({ property, message: 'data never becomes markup: use element() and textContent' }));

export default [
  js.configs.recommended,
  {
    files: ['**/*.js'],
    languageOptions: { ecmaVersion: 2022, sourceType: 'module', globals: browser },
    rules: {
      'no-restricted-properties': ['error', ...inert], 'no-restricted-globals': ['error', 'event', 'name', 'eval', 'Function'],
      'no-eval': 'error', 'no-implied-eval': 'error', 'no-new-func': 'error', 'no-var': 'error', 'prefer-const': ['error', { destructuring: 'all' }], eqeqeq: 'error',
      'max-lines': ['error', 400], 'no-shadow': ['error', { builtinGlobals: false }], 'no-console': 'error',
      // the rules of FORMAT.md, by which the modules become one script
      'no-restricted-syntax': ['error',
        { selector: 'ExportDefaultDeclaration, ExportAllDeclaration, ExportNamedDeclaration[specifiers.length>0]', message: 'export where it is declared' },
        { selector: 'ImportDefaultSpecifier, ImportNamespaceSpecifier, ImportExpression', message: 'import {names} from' }],
    },
  },
  { files: ['**/*.mjs', '**/eslint.config.js'], languageOptions: { ecmaVersion: 2022, sourceType: 'module', globals: { process: 'readonly', URL: 'readonly', structuredClone: 'readonly', TextEncoder: 'readonly', Blob: 'readonly', Buffer: 'readonly' } } },
];
