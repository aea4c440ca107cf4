import { transformSync } from '@swc/wasm-typescript';

interface Problem {
  readonly message: string;
  readonly startLine: number;
  readonly startColumn: number;
  readonly snippet?: string;
}

/**
 * The same text without its types, each line and column where it was, by the library that Node has built in.
 * @throws {SyntaxError} for what is no TypeScript, or takes more than to be erased
 */
export function stripTypes(source: string, path: string): string {
  try {
    return transformSync(source, { mode: 'strip-only', module: true, filename: path }).code;
  } catch (error) {
    const { message, startLine, startColumn, snippet = '' } = error as Problem;
    const where = startLine === undefined ? path : `${path}:${startLine}:${startColumn + 1}`;
    throw new SyntaxError(`${where}: ${message}\n${snippet}`.trimEnd());
  }
}
