/**
 * `node --import tunicorn/ts program.ts`: TypeScript without a build step where Node does not strip types itself (before
 * 22.18). As with Node's own stripping nothing is checked, and only erasable syntax is taken: no enums, namespaces or
 * parameter properties. Where Node strips types itself this does nothing.
 */
import { register } from 'node:module';

const { typescript } = process.features as { readonly typescript?: string | false };
if (!typescript) register('./hooks.js', import.meta.url);
