import { describe, expect, it } from 'vitest';
import { workerKind } from '../../src/config/workers.ts';
import { UserError } from '../../src/errors.ts';

describe('workerKind', () => {
  it.each(['sync', 'gthread', 'python', 'gunicorn.workers.gthread.ThreadWorker', 'egg:gunicorn#sync'])(
    'takes %s for Python workers',
    (name) => {
      expect(workerKind(name)).toBe('python');
    },
  );

  it.each([
    ['gevent', '-k gthread --threads 100'],
    ['gunicorn.workers.ggevent.GeventWorker', '-k gthread --threads 100'],
    ['eventlet', '-k gthread --threads 100'],
    ['tornado', '-k gthread --threads 100'],
    ['uvicorn.workers.UvicornWorker', 'tunicorn -k gthread --threads 4 mysite.wsgi:application'],
    ['uvicorn_worker.UvicornWorker', 'ASGI'],
    ['gunicorn.workers.gasgi.ASGIWorker', 'ASGI'],
    ['asgi', 'ASGI'],
  ])('refuses %s with what to use', (name, instead) => {
    expect(() => workerKind(name)).toThrow(UserError);
    expect(() => workerKind(name)).toThrow(instead);
  });

  it('names the good ones for a name it does not know', () => {
    expect(() => workerKind('snyc')).toThrow('Good ones: sync, gthread, python');
  });
});
