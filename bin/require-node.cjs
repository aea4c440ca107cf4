// Read by any Node since 0.10: old syntax, and nothing newer is loaded before the check. Otherwise an old Node
// would answer with a syntax error in some file, and not with what to do.
'use strict';

var OLDEST = [20, 19];

function tooOld(version) {
  var parts = version.split('.');
  var major = Number(parts[0]);
  return major < OLDEST[0] || (major === OLDEST[0] && Number(parts[1]) < OLDEST[1]);
}

/** Ends the process with one sentence when its Node is too old. */
function requireNode() {
  if (!tooOld(process.versions.node)) return;
  console.error('Tunicorn needs Node 20.19 or newer; this is %s.', process.version);
  process.exit(1);
}

module.exports = { tooOld: tooOld, requireNode: requireNode };

/** The check, and then the script in the same process, as if it had been called itself. */
function runScript(script) {
  process.argv.splice(1, 2, require('node:path').resolve(__dirname, script));
  require('./load.cjs')(script);
}

module.exports = { tooOld: tooOld, requireNode: requireNode };

// node bin/require-node.cjs [SCRIPT [ARGUMENT…]]
if (require.main === module) {
  requireNode();
  if (process.argv.length > 2) runScript(process.argv[2]);
}
