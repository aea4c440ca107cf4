import { defineConfig } from 'vitest/config';

/** Tests that start servers. */
const PROCESSES = ['integration', 'conformance', 'examples'].map((folder) => `test/${folder}/**/*.test.ts`);
/** Those of them that measure time or load both cores: they run one file after another, beside nothing else. */
const ALONE = ['proof/*', 'eintr', 'slow', 'deadlines', 'hostile', 'traffic', 'uploads'].map(
  (name) => `test/integration/${name}.test.ts`,
);

interface Project {
  readonly name: string;
  readonly include: readonly string[];
  readonly exclude?: readonly string[];
  readonly maxWorkers: number;
}

const PROJECTS: readonly Project[] = [
  { name: 'units', include: ['test/**/*.test.ts'], exclude: PROCESSES, maxWorkers: 2 },
  { name: 'processes', include: PROCESSES, exclude: ALONE, maxWorkers: 2 },
  { name: 'alone', include: ALONE, maxWorkers: 1 },
];

export default defineConfig({
  test: {
    environment: 'node',
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
    globalSetup: ['test/support/build.ts'],
    projects: PROJECTS.map(({ name, include, exclude = [], maxWorkers }, groupOrder) => ({
      extends: true,
      test: { name, include: [...include], exclude: [...exclude], maxWorkers, sequence: { groupOrder } },
    })),
  },
});
