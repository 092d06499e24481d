/**
 * A consumer is killed in a real cluster (RabbitMQ, PostgreSQL, every role a process of its own), and the board shows
 * it within 10 seconds, and its return.
 *
 * HOLDFAST_CLUSTER_CMD names the command that starts it: `holdfast-testbed cluster --port 0`, with HOLDFAST_BIN set.
 * It prints where to open the browser, how to sign in and each process's pid, starts a dead role again after a while,
 * and stops everything on SIGTERM.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { expect, test } from "@playwright/test";

type Cluster = { url: string; username: string; password: string; pids: Map<string, number> };
const STARTED_MS_MAX = 180_000;
const SHOWN_MS_MAX = 10_000;
/** The supervisor waits 15 s before it starts a dead role again. */
const RESTARTED_MS_MAX = 30_000;

let running: ChildProcess | undefined;

function startCluster(command: string): Promise<Cluster> {
  const child = spawn("sh", ["-c", `exec ${command}`], { stdio: ["ignore", "pipe", "inherit"] });
  running = child;
  const found: Cluster = { url: "", username: "", password: "", pids: new Map() };
  return new Promise((done, fail) => {
    const timer = setTimeout(() => fail(new Error("the cluster did not become ready")), STARTED_MS_MAX);
    child.once("exit", (code) => fail(new Error(`the cluster ended with ${code}`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      found.url = /^Holdfast runs at (\S+)/.exec(line)?.[1] ?? found.url;
      const [, username, password] = /sign in as (\S+) with the password (\S+)/.exec(line) ?? [];
      if (username && password) Object.assign(found, { username, password });
      const [, name, pid] = /^\s+(\S+)\s+pid (\d+)$/.exec(line) ?? [];
      if (name) found.pids.set(name, Number(pid));
      if (!line.startsWith("All data is thrown away")) return;
      clearTimeout(timer);
      done(found);
    });
  });
}

test.afterAll(async () => {
  const child = running;
  if (!child || child.exitCode !== null) return;
  const gone = new Promise((done) => child.once("exit", done));
  child.kill("SIGTERM");
  await gone;
});

test("the board shows a killed consumer within 10 seconds, and its return", async ({ browser }) => {
  test.setTimeout(STARTED_MS_MAX + 90_000);
  const command = process.env.HOLDFAST_CLUSTER_CMD;
  if (!command) throw new Error("HOLDFAST_CLUSTER_CMD must name the command that starts the cluster");
  const cluster = await startCluster(command);
  const page = await (await browser.newContext({ baseURL: cluster.url })).newPage();
  await page.goto("/sign-in?next=/health-board");
  await page.getByLabel("Username").fill(cluster.username);
  await page.getByLabel("Password").fill(cluster.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { name: "Everything is up" })).toBeVisible({ timeout: 20_000 });
  const victim = cluster.pids.get("stock");
  if (!victim) throw new Error(`the cluster names no process "stock": ${[...cluster.pids.keys()]}`);
  process.kill(victim, "SIGKILL");
  await expect(page.getByRole("article", { name: "stock: down" })).toBeVisible({
    timeout: SHOWN_MS_MAX,
  });
  await expect(page.getByRole("heading", { name: /^(Degraded|Down)$/ })).toBeVisible();
  await expect(page.getByRole("article", { name: "stock: up" })).toBeVisible({ timeout: RESTARTED_MS_MAX });
  await expect(page.getByRole("heading", { name: "Everything is up" })).toBeVisible({
    timeout: SHOWN_MS_MAX,
  });
  await page.context().close();
});
