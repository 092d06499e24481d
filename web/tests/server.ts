/** Starts the real binary on a free port with a fresh data folder and the demo shop, and stops it afterwards. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const READY_MS_MAX = 60_000;
const STOP_MS_MAX = 12_000;

export const PASSWORD = "correct horse battery";
/** Accounts made with the binary's own command, as an operator would. */
export const ACCOUNTS = {
  boss: "admin",
  clerk: "staff",
  anna: "customer",
  ben: "customer",
  cleo: "customer",
  dora: "customer",
} as const;
export type AccountName = keyof typeof ACCOUNTS;

function binary(): string {
  const named = process.env.HOLDFAST_BIN;
  const path = resolve(named ?? join(import.meta.dirname, "../../target/debug/holdfast"));
  if (!existsSync(path)) {
    throw new Error(
      `These tests need the real binary, and ${path} is not there.\n` +
        "Build it with `cargo build --bin holdfast`, or name another one in HOLDFAST_BIN.",
    );
  }
  return path;
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const probe = createServer();
    probe.on("error", fail);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      const port = typeof address === "object" && address ? address.port : 0;
      probe.close(() => done(port));
    });
  });
}

async function ready(url: string, server: ChildProcess, log: string): Promise<void> {
  const end = Date.now() + READY_MS_MAX;
  while (Date.now() < end) {
    if (server.exitCode !== null) break;
    const answer = await fetch(`${url}/health/ready`).catch(() => null);
    if (answer?.ok) return;
    await new Promise((next) => setTimeout(next, 100));
  }
  throw new Error(`The server did not become ready. Its log:\n${readFileSync(log, "utf8").slice(-4000)}`);
}

export default async function start() {
  const bin = binary();
  const data = mkdtempSync(join(tmpdir(), "holdfast-web-"));
  const log = join(data, "server.log");
  const url = `http://127.0.0.1:${await freePort()}`;
  const env = { ...process.env, HOLDFAST_DATA: join(data, "data") };
  const out = openSync(log, "w");
  const server = spawn(bin, ["serve", "--demo", "--listen", new URL(url).host], {
    env,
    stdio: ["ignore", out, out],
  });
  const stop = async () => {
    const gone = new Promise((done) => server.once("exit", done));
    if (server.exitCode === null && server.signalCode === null) {
      server.kill("SIGTERM");
      const timer = setTimeout(() => server.kill("SIGKILL"), STOP_MS_MAX);
      await gone;
      clearTimeout(timer);
    }
    rmSync(data, { recursive: true, force: true });
  };
  try {
    await ready(url, server, log);
    for (const [name, role] of Object.entries(ACCOUNTS)) {
      execFileSync(bin, ["accounts", "add", name, "--role", role], {
        env: { ...env, HOLDFAST_PASSWORD: PASSWORD, HOLDFAST_LISTEN: new URL(url).host },
        stdio: "pipe",
        timeout: 20_000,
      });
    }
  } catch (error) {
    await stop();
    throw error;
  }
  process.env.HOLDFAST_URL = url;
  process.env.HOLDFAST_SERVER_PID = String(server.pid);
  process.env.HOLDFAST_STATES = data;
  return stop;
}
