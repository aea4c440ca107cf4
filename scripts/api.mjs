/**
 * `docs/api/README.md`: what `import … from 'tunicorn'` gives, from the doc comments. API Extractor reads the declarations
 * that were built; here they become one page.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Extractor, ExtractorConfig } from '@microsoft/api-extractor';

const KINDS = /** @type {const} */ ([
  ['Function', 'Functions'],
  ['Class', 'Classes'],
  ['Interface', 'Interfaces'],
  ['TypeAlias', 'Types'],
]);

const HEAD = `# API

What \`import … from 'tunicorn'\` gives. This page is generated from the doc comments: \`node scripts/docs.mjs --write\`.
[docs/wsgi.md](../wsgi.md) tells how the parts belong together.
`;

/**
 * @typedef {{ kind: string, name: string, docComment: string, excerptTokens: { text: string }[], members?: Item[],
 *   isOptional?: boolean }} Item
 */

/**
 * Renders the page. Needs a fresh `dist/`.
 * @param {string} root the checkout.
 * @throws {Error} when a public declaration names a type that is not exported.
 */
export function renderApi(root) {
  const items = extract(root);
  const sections = KINDS.map(([kind, title]) => {
    const found = items.filter((item) => item.kind === kind);
    return found.length === 0 ? '' : `## ${title}\n\n${found.map(renderItem).join('\n')}`;
  });
  return `${[HEAD, contents(items), ...sections].filter(Boolean).join('\n').trimEnd()}\n`;
}

/** @param {string} root @returns {Item[]} by name. */
function extract(root) {
  const model = join(root, 'dist', 'tunicorn.api.json');
  const config = ExtractorConfig.prepare({
    configObjectFullPath: undefined,
    packageJsonFullPath: join(root, 'package.json'),
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: join(root, 'dist', 'index.d.ts'),
      compiler: { overrideTsconfig: tsconfig(root) },
      apiReport: { enabled: false },
      docModel: { enabled: true, apiJsonFilePath: model },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        extractorMessageReporting: {
          default: { logLevel: 'none' },
          'ae-forgotten-export': { logLevel: 'error' },
        },
        tsdocMessageReporting: { default: { logLevel: 'none' } },
        compilerMessageReporting: { default: { logLevel: 'error' } },
      },
    },
  });
  /** @type {string[]} */
  const problems = [];
  const result = Extractor.invoke(config, {
    localBuild: true,
    messageCallback: (message) => {
      message.handled = true;
      if (message.logLevel === 'error') problems.push(message.formatMessageWithLocation(root));
    },
  });
  if (!result.succeeded) throw new Error(['The API cannot be extracted.', ...problems].join('\n'));
  const { members } = JSON.parse(readFileSync(model, 'utf8'));
  rmSync(model);
  return members[0].members.sort((a, b) => a.name.localeCompare(b.name));
}

/** @param {string} root */
function tsconfig(root) {
  const { compilerOptions } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8'));
  const { target, module, moduleResolution, types, strict, skipLibCheck } = compilerOptions;
  return {
    compilerOptions: {
      target,
      lib: ['es2023', 'esnext.disposable'],
      module,
      moduleResolution,
      types,
      strict,
      skipLibCheck,
    },
    files: [join(root, 'dist', 'index.d.ts')],
  };
}

/** @param {Item[]} items */
function contents(items) {
  const lines = KINDS.map(([kind, title]) => {
    const links = items.filter((item) => item.kind === kind).map(({ name }) => `[${name}](#${anchor(name)})`);
    return links.length === 0 ? '' : `- ${title}: ${links.join(', ')}`;
  });
  return `${lines.filter(Boolean).join('\n')}\n`;
}

/** @param {string} name */
function anchor(name) {
  return name.toLowerCase();
}

/** @param {Item} item */
function renderItem(item) {
  const { name, members = [] } = item;
  const doc = parseComment(item.docComment);
  const code = `\`\`\`ts\n${declaration(item)}\n\`\`\`\n`;
  const list = members.filter((member) => member.kind !== 'Constructor').map(renderMember);
  return [
    `### ${name}\n`,
    code,
    doc.text && `${doc.text}\n`,
    tags(doc),
    list.length > 0 && `${list.join('\n')}\n`,
  ]
    .filter(Boolean)
    .join('\n');
}

/** @param {Item} member */
function renderMember(member) {
  const doc = parseComment(member.docComment);
  const told = [
    doc.text.replaceAll(/\s*\n\s*/g, ' '),
    ...doc.tags.map(({ label, text }) => `${label}: ${text}`),
  ];
  const text = told.filter(Boolean).join(' ');
  return `- \`${declaration(member).replace(/^readonly /, '')}\`${text === '' ? '' : `  \n  ${text}`}`;
}

/** @param {Item} item as TypeScript has it, in one line where it can be. */
function declaration({ excerptTokens }) {
  const text = excerptTokens.map((token) => token.text).join('');
  return text
    .replace(/^export (declare )?/, '')
    .replace(/;$/, '')
    .replaceAll(/\s*\n\s*/g, ' ')
    .trim();
}

/** @param {{ tags: { label: string, text: string }[] }} doc */
function tags({ tags: all }) {
  return all.length === 0 ? '' : `${all.map(({ label, text }) => `- ${label}: ${text}`).join('\n')}\n`;
}

const LABELS = { param: '', returns: 'gives', throws: 'throws' };

/**
 * A doc comment as Markdown: its text, and what stands in tags.
 * @param {string} comment with its delimiters; empty for none.
 */
function parseComment(comment) {
  const lines = comment
    .replace(/^\/\*\*/, '')
    .replace(/\*\/\s*$/, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, ''));
  const text = lines.join('\n').replaceAll(/\{@link (\w+)\}/g, (_, name) => `[${name}](#${anchor(name)})`);
  const [body = '', ...rest] = text.split(/(?:^|\s)@(?=(?:param|returns|throws)\b)/);
  const found = rest.map((tag) => {
    const [, kind = '', told = ''] = /^(\w+)\s+([\s\S]*)$/.exec(tag.trim()) ?? [];
    return labelled(kind, told.replaceAll(/\s*\n\s*/g, ' ').trim());
  });
  return { text: trimBlock(body), tags: found };
}

/** @param {string} kind @param {string} told */
function labelled(kind, told) {
  if (kind === 'param') {
    const [, name = '', text = ''] = /^(\S+)\s*(?:-\s+)?([\s\S]*)$/.exec(told) ?? [];
    return { label: `\`${name}\``, text };
  }
  const [, type, text] = /^\{(\w+)\}\s*([\s\S]*)$/.exec(told) ?? [];
  const label = LABELS[/** @type {'returns' | 'throws'} */ (kind)] ?? kind;
  return { label: type === undefined ? label : `${label} \`${type}\``, text: text ?? told };
}

/** Lines of code stand four to the right, as in the comment. @param {string} text */
function trimBlock(text) {
  return text
    .replace(/^\s*\n/, '')
    .trimEnd()
    .replace(/^ (?=\S)/, '');
}
