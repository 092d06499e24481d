import { defineConfig } from "@playwright/test";

// One worker: the pages share one real server, and the machine has few cores.
export default defineConfig({
  testDir: "tests",
  testMatch: process.env.HOLDFAST_CLUSTER_CMD ? "**/*.spec.ts" : /^(?!.*cluster\.spec).*\.spec\.ts$/,
  globalSetup: "./tests/server.ts",
  workers: 1,
  fullyParallel: false,
  forbidOnly: true,
  retries: 0,
  timeout: 120_000,
  globalTimeout: 40 * 60_000,
  // What comes, comes at once; the room is for machines that do much else at the time.
  expect: { timeout: 20_000 },
  reporter: [["list"]],
  outputDir: "test-results",
  use: {
    actionTimeout: 20_000,
    navigationTimeout: 30_000,
    locale: "en-IN",
    timezoneId: "Europe/Berlin",
    viewport: { width: 1440, height: 900 },
    // Nothing here looks at movement, and each fade would be waited for.
    contextOptions: { reducedMotion: "reduce" },
    // Without the film, which takes a quarter of the machine: the steps and the page at each of them are enough.
    trace: { mode: "retain-on-failure", screenshots: false, snapshots: true, sources: true },
    launchOptions: {
      executablePath: process.env.CHROMIUM_BIN ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-quic",
        "--no-first-run",
      ],
    },
  },
});
