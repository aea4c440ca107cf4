import { describe, expect, test } from 'vitest';
import {
  ConnectionState,
  nextState,
  renderTransitions,
  type State,
  TRANSITIONS,
  type Trigger,
} from '../../src/http/connection.ts';

const STATES = Object.keys(TRANSITIONS) as State[];
const TRIGGERS = [...new Set(STATES.flatMap((state) => Object.keys(TRANSITIONS[state])))] as Trigger[];

function walk(...triggers: Trigger[]): State {
  const connection = new ConnectionState();
  for (const trigger of triggers) connection.apply(trigger);
  return connection.current;
}

describe('the life of a connection', () => {
  test('two requests with keep-alive, then the client leaves', () => {
    expect(
      walk('bytes', 'request', 'respond', 'reuse', 'bytes', 'headers', 'request', 'respond', 'reuse'),
    ).toBe('idle');
    expect(walk('bytes', 'request', 'respond', 'reuse', 'gone')).toBe('closed');
  });

  test('the last answer leads over closing to closed', () => {
    expect(walk('bytes', 'request', 'respond', 'finish')).toBe('closing');
    expect(walk('bytes', 'request', 'respond', 'finish', 'gone')).toBe('closed');
  });

  test('a refusal closes from every state before the answer', () => {
    for (const state of ['head', 'body', 'queued'] as const)
      expect(nextState(state, 'refuse')).toBe('closing');
  });

  test('after the head of the answer there is nothing to refuse, only to finish or cut', () => {
    expect(() => nextState('responding', 'refuse')).toThrow(
      'A connection that is responding cannot take "refuse".',
    );
    expect(nextState('responding', 'gone')).toBe('closed');
    expect(nextState('responding', 'finish')).toBe('closing');
  });

  test('an illegal transition throws and changes nothing', () => {
    const connection = new ConnectionState();
    expect(() => connection.apply('respond')).toThrow();
    expect(connection.current).toBe('idle');
  });
});

describe('the table', () => {
  test('leads to states that exist', () => {
    for (const state of STATES) {
      for (const trigger of TRIGGERS) {
        if (!(trigger in TRANSITIONS[state])) expect(() => nextState(state, trigger)).toThrow();
        else expect(STATES).toContain(nextState(state, trigger));
      }
    }
  });

  test('every state but closed can be left by the client, and every one can be reached', () => {
    for (const state of STATES) if (state !== 'closed') expect(nextState(state, 'gone')).toBe('closed');
    const reached = new Set<State>(['idle']);
    for (const state of reached)
      for (const to of Object.values(TRANSITIONS[state]) as State[]) reached.add(to);
    expect([...reached].sort()).toEqual([...STATES].sort());
  });

  test('is drawn as a Mermaid diagram', () => {
    const drawn = renderTransitions();
    expect(drawn.startsWith('```mermaid\nstateDiagram-v2\n  [*] --> idle\n  idle --> head: bytes\n')).toBe(
      true,
    );
    expect(drawn).toContain('  queued --> closed: gone\n');
    for (const state of STATES) expect(drawn).toContain(state);
  });
});
