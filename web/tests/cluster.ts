/**
 * A real cluster (RabbitMQ, PostgreSQL, a balancer, every role a process of its own), started by the command in
 * HOLDFAST_CLUSTER_CMD: `holdfast-testbed cluster --port 0 --restart-after 30`, with HOLDFAST_BIN set. It prints where to open the browser,
 * how to sign in and each process's pid, starts a dead role again after a while, and stops everything on SIGTERM.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { type APIRequestContext, expect, request } from "@playwright/test";

export const STARTED_MS_MAX = 180_000;
const STOPPED_MS_MAX = 60_000;
const ORDER_EVERY_MS = 150;
const ORDERED_STOCK = 100_000;

export class Cluster {
  url = "";
  username = "";
  password = "";
  /** The broker, for a program that may place orders and holds. */
  producers = "";
  /** Of each process, by name: stock, orders-1, gateway-2, … */
  pids = new Map<string, number>();
  private child: ChildProcess;
  private end: "" | "asked" | "unasked" = "";

  private constructor(command: string) {
    this.child = spawn("sh", ["-c", `exec ${command}`], { stdio: ["ignore", "pipe", "inherit"] });
    this.child.once("exit", () => {
      this.end ||= "unasked";
    });
  }

  static start(): Promise<Cluster> {
    const command = process.env.HOLDFAST_CLUSTER_CMD;
    if (!command) throw new Error("HOLDFAST_CLUSTER_CMD must name the command that starts the cluster");
    const cluster = new Cluster(command);
    const { child } = cluster;
    return new Promise((done, fail) => {
      const timer = setTimeout(() => {
        child.kill("SIGTERM");
        fail(new Error(`the cluster did not become ready within ${STARTED_MS_MAX / 1000} s`));
      }, STARTED_MS_MAX);
      child.once("exit", (code) => fail(new Error(`the cluster ended with ${code}`)));
      if (!child.stdout) throw new Error("its output is a pipe");
      createInterface({ input: child.stdout }).on("line", (line) => {
        cluster.hear(line);
        if (!line.startsWith("All data is thrown away")) return;
        clearTimeout(timer);
        done(cluster);
      });
    });
  }

  private hear(line: string) {
    this.url = /^Holdfast runs at (\S+)/.exec(line)?.[1] ?? this.url;
    this.producers = /^\s+producers\s+(amqp:\S+)/.exec(line)?.[1] ?? this.producers;
    const [, username, password] = /sign in as (\S+) with the password (\S+)/.exec(line) ?? [];
    if (username && password) Object.assign(this, { username, password });
    const [, name, pid] = /^\s+(\S+)\s+pid (\d+)$/.exec(line) ?? [];
    if (name) this.pids.set(name, Number(pid));
  }

  /** kill -9; the process has no time to say goodbye to anybody. */
  kill(name: string) {
    const pid = this.pids.get(name);
    if (!pid) throw new Error(`the cluster names no process ${name}: ${[...this.pids.keys()]}`);
    process.kill(pid, "SIGKILL");
    this.pids.delete(name);
  }

  /** Fails when something did not stop well, or ended before it was asked to. */
  async stop() {
    if (this.end === "unasked") throw new Error("the cluster ended by itself");
    this.end = "asked";
    const gone = new Promise<number | null>((done) => this.child.once("exit", done));
    this.child.kill("SIGTERM");
    const timer = setTimeout(() => this.child.kill("SIGKILL"), STOPPED_MS_MAX);
    const code = await gone;
    clearTimeout(timer);
    expect(code, "the cluster says that something did not stop well").toBe(0);
  }

  /** The API as the administrator. */
  async admin(): Promise<APIRequestContext> {
    const anyone = await request.newContext({ baseURL: this.url });
    const { username, password } = this;
    const answer = await anyone.post("/v1/sessions", { data: { username, password } });
    expect(answer.status(), await answer.text()).toBe(201);
    const { token } = await answer.json();
    await anyone.dispose();
    return request.newContext({
      baseURL: this.url,
      extraHTTPHeaders: { Authorization: `Bearer ${token}` },
    });
  }
}

/** Somebody who orders one unit several times a second, all the time. */
export class Buyer {
  accepted = 0;
  readonly refused: string[] = [];
  private going = true;
  private ended: Promise<void> = Promise.resolve();

  static async start(cluster: Cluster): Promise<Buyer> {
    const admin = await cluster.admin();
    const location = await admin.post("/v1/locations", { data: { code: "HUB", name: "Hub", priority: 1 } });
    expect(location.status(), await location.text()).toBe(201);
    const sku = "BOARD-1";
    const item = await admin.post("/v1/items", {
      data: {
        sku,
        brand: "Board",
        model: "One",
        description: "Ordered all the time",
        price: { amount: 100, currency: "INR" },
        stock: [{ location: "HUB", quantity: ORDERED_STOCK }],
      },
    });
    expect(item.status(), await item.text()).toBe(201);
    const buyer = new Buyer();
    buyer.ended = buyer.run(admin, sku);
    return buyer;
  }

  private async run(api: APIRequestContext, sku: string) {
    while (this.going) {
      const answer = await api.post("/v1/orders", { data: { lines: [{ sku, quantity: 1 }] } });
      if (answer.status() === 201) this.accepted += 1;
      else this.refused.push(`${answer.status()} ${await answer.text()}`);
      await new Promise((next) => setTimeout(next, ORDER_EVERY_MS));
    }
    await api.dispose();
  }

  async stop() {
    this.going = false;
    await this.ended;
  }
}
