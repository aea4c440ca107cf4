import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { include: ['test/http/fuzz-run.ts'], root: '.', disableConsoleIntercept: true, watch: false },
});
