/** `npm run bench`: the browser of the tests, for programs that measure. */
import { defineConfig } from "@playwright/test";
import tests from "../playwright.config";

export default defineConfig(tests, {
  testDir: ".",
  testMatch: "*.bench.ts",
  globalSetup: "../tests/server.ts",
  outputDir: "../test-results",
  use: { trace: "off" },
});
