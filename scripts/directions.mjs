/**
 * Checks which parts of `src/` may import which, and that no modules import each other in a circle. The
 * rules keep the protocol code free of processes and the pure cores free of clocks, sockets and spawns.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** Parts that know nothing of processes: they work in the arbiter, in a front and in somebody's own program. */
const CORE = ['http', 'gateway', 'wsgi', 'config', 'observe'];

/** What each part may not import, and why. `only`: files that may all the same. */
const PARTS = [
  ...CORE.map((from) => ({
    from: `${from}/`,
    to: ['front/', 'arbiter/', 'workers/', 'cli/'],
    why: `${from} knows nothing of the processes that use it`,
  })),
  { from: 'front/', to: ['arbiter/', 'cli/'], why: 'front and arbiter meet through src/messages.ts only' },
  { from: 'arbiter/', to: ['front/'], why: 'front and arbiter meet through src/messages.ts only' },
  { from: '', to: ['arbiter/'], why: 'only the command starts an arbiter', only: /^(cli|arbiter)\// },
  { from: '', to: ['cli/'], why: 'the command is the outermost part', only: /^cli\// },
];

/** The one place where `wsgi` meets the front: `makeServer` speaks with clients by the same code. */
const ALLOWED = ['client', 'clients', 'deadlines', 'handshakes', 'room'].map((name) => [
  'wsgi/make-server.ts',
  `front/${name}.ts`,
]);

/** Values in, values out: what waits, listens, spawns or reads files lies at the edges. */
const PURE = [
  'arbiter/plan.ts',
  'front/queue.ts',
  'front/proxy-headers.ts',
  'gateway/frames.ts',
  'http/grammar.ts',
  'http/parser.ts',
  'http/response.ts',
];

/** Of Node, the pure cores may use only what computes. */
const PURE_MODULES = {
  'node:buffer': 'all',
  'node:util': 'all',
  'node:net': ['isIP', 'isIPv4', 'isIPv6', 'BlockList', 'SocketAddress'],
};

/** Globals that a pure core may not touch. */
const IMPURE =
  /\b(setTimeout|setInterval|setImmediate|queueMicrotask|Date\.now|new Date\(\)|performance\.now|Math\.random|process\.\w+)/g;

/**
 * @typedef {{ names: string, target: string, typeOnly: boolean }} Import
 * @typedef {{ imports: Import[], code: string }} Module
 */

/**
 * Finds every violation under a source folder.
 * @param {string} source folder that is laid out like `src/`.
 * @returns {string[]} sentences: `front/a.ts imports arbiter/b.ts: …`; empty when all is well.
 */
export function findViolations(source) {
  const modules = readModules(source);
  return [...modules]
    .flatMap(([path, module]) => [...judgeParts(path, module), ...judgePurity(path, module)])
    .concat(findCycles(modules));
}

/** @returns {Map<string, Module>} by path below `source`. */
function readModules(source) {
  const paths = readdirSync(source, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.[cm]?ts$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  return new Map(paths.map((path) => [relative(source, path), readModule(source, path)]));
}

/** @returns {Module} */
function readModule(source, path) {
  const code = withoutComments(readFileSync(path, 'utf8'));
  const imports = [...code.matchAll(/\b(?:import|export)\s+([\w\s{},*$]*?)\bfrom\s*['"]([^'"]+)['"]/g)].map(
    ([, names = '', target = '']) => ({ names, target, typeOnly: /^type\b/.test(names) }),
  );
  const bare = [...code.matchAll(/\bimport\s*\(?\s*['"]([^'"]+)['"]/g)].map(([, target = '']) => ({
    names: '',
    target,
    typeOnly: false,
  }));
  const resolved = [...imports, ...bare].map((found) => ({
    ...found,
    target: found.target.startsWith('.') ? resolve(source, path, found.target) : found.target,
  }));
  return { imports: resolved, code };
}

function resolve(source, from, target) {
  const full = join(dirname(from), target);
  return relative(source, existsSync(full) ? full : full.replace(/\.js$/, '.ts'));
}

/** Comments may name what code may not use. Strings are matched only so that a `//` in one is no comment. */
function withoutComments(text) {
  const token = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/.*$/gm;
  return text.replace(token, (found) => (found.startsWith('/') ? '' : found));
}

function judgeParts(path, { imports }) {
  return imports.flatMap(({ target }) => {
    if (ALLOWED.some(([from, to]) => from === path && to === target)) return [];
    const rule = PARTS.find(
      ({ from, to, only }) =>
        path.startsWith(from) && !only?.test(path) && to.some((part) => target.startsWith(part)),
    );
    return rule === undefined ? [] : [`${path} imports ${target}: ${rule.why}`];
  });
}

function judgePurity(path, { imports, code }) {
  if (!PURE.includes(path)) return [];
  const modules = imports
    .filter((found) => !found.typeOnly && found.target.startsWith('node:') && !isPure(found, code))
    .map(({ target }) => `${path} imports ${target}: a pure core takes values and gives values`);
  const globals = [...code.matchAll(IMPURE)].map(
    ([name]) => `${path} uses ${name}: a pure core takes values (and the time) and gives values`,
  );
  return [...modules, ...new Set(globals)];
}

/** `node:net` is about sockets, but its `isIP` and `BlockList` only compute. */
function isPure({ target, names }, code) {
  const allowed = PURE_MODULES[target];
  if (allowed === undefined || allowed === 'all') return allowed === 'all';
  const whole = /^[\w$]+$|^\*\s+as\s+([\w$]+)$/.exec(names.trim());
  const used =
    whole === null
      ? names
          .replace(/[{}]/g, '')
          .split(',')
          .map((name) => name.trim())
      : [...code.matchAll(new RegExp(`\\b${whole[1] ?? whole[0]}\\.(\\w+)`, 'g'))].map(
          ([, name = '']) => name,
        );
  return used.every(
    (name) => name === '' || name.startsWith('type ') || allowed.includes(name.split(' ')[0] ?? ''),
  );
}

/** Circles of modules that need each other when they run; types alone do no harm. */
function findCycles(modules) {
  const done = new Set();
  const found = [];
  const visit = (path, trail) => {
    const at = trail.indexOf(path);
    if (at >= 0) found.push(`${[...trail.slice(at), path].join(' → ')}: a circle of imports`);
    if (at >= 0 || done.has(path)) return;
    for (const { target, typeOnly } of modules.get(path)?.imports ?? []) {
      if (!typeOnly && modules.has(target)) visit(target, [...trail, path]);
    }
    done.add(path);
  };
  for (const path of modules.keys()) visit(path, []);
  return found;
}
