'use strict';

var path = require('node:path');
var url = require('node:url');

/** Loads a module by its path from this folder. Apart from the check, since import() is a syntax error before Node 10. */
module.exports = function load(module) {
  return import(url.pathToFileURL(path.join(__dirname, module)).href);
};
