/** Where each key of a TOML document stands, which `smol-toml` does not tell. */
import { parse } from 'smol-toml';

/** The key as far as it is written in one place: `['tool', 'tunicorn', 'env', 'DEBUG']`. */
interface Place {
  readonly path: readonly string[];
  readonly line: number;
}

/** Blank lines, comments, and the mark that some editors put in front. */
const VOID = /(?:[\s\uFEFF]|#[^\n]*)+/y;
/** Bare or quoted parts between dots (TOML 1.0, Keys). */
const KEY = /(?:[\w\-.\t ]|"(?:\\.|[^"\\\n])*"|'[^'\n]*')+/y;
/** A string of one of the four kinds, a comment, a bracket, a line end, or anything up to the next of these. */
const PART =
  /"""(?:\\[\s\S]|(?!""")[\s\S])*"{3,5}|'''(?:(?!''')[\s\S])*'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|#[^\n]*|[[{]|[\]}]|\n|[^"'#[\]{}\n]+/y;

/**
 * Finds the line of a key, counted from 1. In an array of tables (`[[mount]]`) the number of the table is a part of the path. A table that has no line of its own has that of its first key, and what
 * stands inside a value the line of the value's key.
 * @param text a document that `smol-toml` finds good; others may make it throw
 */
export function lineFinder(text: string): (path: readonly string[]) => number {
  const places = placesOf(text);
  return (path) => {
    const inside = places.find((place) => isPrefix(path, place.path));
    const around = places.filter((place) => isPrefix(place.path, path));
    const nearest = Math.max(...around.map((place) => place.path.length));
    return (inside ?? around.find((place) => place.path.length === nearest))?.line ?? 1;
  };
}

function isPrefix(short: readonly string[], long: readonly string[]): boolean {
  return short.every((part, i) => part === long[i]);
}

function placesOf(text: string): Place[] {
  const places: Place[] = [];
  let table: readonly string[] = [];
  let at = 0;
  const take = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0] ?? '';
    at += found.length;
    return found;
  };
  for (take(VOID); at < text.length; take(VOID)) {
    const start = at;
    const brackets = take(/\[*/y);
    const path = partsOf(take(KEY));
    if (brackets !== '') table = brackets === '[[' ? elementOf(places, path) : path;
    places.push({ path: brackets === '' ? [...table, ...path] : table, line: lineAt(text, start) });
    skipValue(take);
  }
  return places;
}

/** The path of the next element of an array of tables: its index is a part of it. */
function elementOf(places: readonly Place[], path: readonly string[]): string[] {
  const before = places.filter(
    (place) => place.path.length === path.length + 1 && isPrefix(path, place.path),
  );
  return [...path, String(before.length)];
}

/** Up to the end of the line on which every bracket is closed again. */
function skipValue(take: (pattern: RegExp) => string): void {
  let depth = 0;
  for (let part = take(PART); part !== ''; part = take(PART)) {
    if (part === '[' || part === '{') depth++;
    if (part === ']' || part === '}') depth--;
    if (part === '\n' && depth <= 0) return;
  }
}

/** The parser itself knows best how a key with quotes and dots is read. */
function partsOf(key: string): string[] {
  const parts: string[] = [];
  let value: unknown = parse(`${key} = 0`);
  while (typeof value === 'object' && value !== null) {
    const [name = '', inner] = Object.entries(value)[0] ?? [];
    parts.push(name);
    value = inner;
  }
  return parts;
}

function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}
