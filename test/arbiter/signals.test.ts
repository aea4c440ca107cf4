import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { listenSignals, renderSignals, type SignalName } from '../../src/arbiter/signals.ts';

test('every signal of the table is heard, until it is let go', () => {
  const heard: SignalName[] = [];
  const end = listenSignals((name) => heard.push(name));
  process.emit('SIGTTIN', 'SIGTTIN');
  end();
  process.emit('SIGTTIN', 'SIGTTIN');
  expect(heard).toEqual(['SIGTTIN']);
});

test('the page has the table as it is', () => {
  const page = readFileSync(new URL('../../docs/signals.md', import.meta.url), 'utf8');
  expect(page).toContain(renderSignals().trim());
});
