/**
 * The library in five files instead of fifty: each module costs about a millisecond when a program starts (bench/README.md,
 * "makeServer"). A group takes with it all that it imports, as far as no group above it has that.
 */
const GROUPS = {
  server: /\/make-server\.js$/,
  middleware: /\/(?:access-log|compose|mount|request-id)\.js$/,
  adapters: /\/(?:from-fetch|from-node|to-fetch)\.js$/,
  validator: /\/validator\.js$/,
};
const names = Object.keys(GROUPS);

export default {
  input: 'dist/index.js',
  platform: 'node',
  output: {
    dir: 'dist',
    // Beside index.js: what finds package.json by its own place goes on finding it.
    chunkFileNames: '[name].js',
    codeSplitting: {
      groups: Object.entries(GROUPS).map(([name, test]) => ({
        name,
        test,
        priority: names.length - names.indexOf(name),
      })),
    },
  },
};
