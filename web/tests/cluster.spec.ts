/**
 * A consumer is killed in a real cluster, and the board shows it within 10 seconds, and its return.
 *
 * HOLDFAST_CLUSTER_CMD names a command that starts the cluster (RabbitMQ, PostgreSQL, several roles as processes of
 * their own) with restarts, and prints one JSON line when it is ready:
 * {"url": "http://…", "username": "…", "password": "…", "pids": {"orders": [123, …], …}}.
 * It must stop everything on SIGTERM. A role that is killed is started again by the cluster, or by a line
 * "start orders" on its standard input.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { expect, test } from "@playwright/test";

type Cluster = { url: string; username: string; password: string; pids: Record<string, number[]> };
const STARTED_MS_MAX = 120_000;
const SHOWN_MS_MAX = 10_000;

let running: ChildProcess | undefined;

function startCluster(command: string): Promise<Cluster> {
  const child = spawn("sh", ["-c", `exec ${command}`], { stdio: ["pipe", "pipe", "inherit"] });
  running = child;
  return new Promise((done, fail) => {
    const timer = setTimeout(() => fail(new Error("the cluster did not become ready")), STARTED_MS_MAX);
    child.once("exit", (code) => fail(new Error(`the cluster ended with ${code}`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (!line.startsWith("{")) return;
      clearTimeout(timer);
      done(JSON.parse(line) as Cluster);
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
  test.setTimeout(STARTED_MS_MAX + 60_000);
  const command = process.env.HOLDFAST_CLUSTER_CMD;
  if (!command) throw new Error("HOLDFAST_CLUSTER_CMD must name the command that starts the cluster");
  const cluster = await startCluster(command);
  const page = await (await browser.newContext({ baseURL: cluster.url })).newPage();
  await page.goto("/sign-in?next=/health-board");
  await page.getByLabel("Username").fill(cluster.username);
  await page.getByLabel("Password").fill(cluster.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { name: "Everything is up" })).toBeVisible({ timeout: 20_000 });
  const [victim] = cluster.pids.stock ?? [];
  if (!victim) throw new Error("the cluster names no process of the role stock");
  process.kill(victim, "SIGKILL");
  await expect(page.getByRole("article", { name: /^stock: (down|partly down)$/ })).toBeVisible({
    timeout: SHOWN_MS_MAX,
  });
  await expect(page.getByRole("heading", { name: /^(Degraded|Down)$/ })).toBeVisible();
  running?.stdin?.write("start stock\n");
  await expect(page.getByRole("article", { name: "stock: up" })).toBeVisible({ timeout: 2 * SHOWN_MS_MAX });
  await page.context().close();
});
