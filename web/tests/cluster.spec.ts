/** The health board of a real cluster (see cluster.ts): what dies is on it within 10 seconds, and so is its return. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, type Page, test } from "@playwright/test";
import { connect } from "amqplib";
import { violations } from "./axe";
import { Buyer, Cluster, STARTED_MS_MAX } from "./cluster";

const SHOWN_MS_MAX = 10_000;
/** The supervisor waits a while (`--restart-after`, 15 s if not given) before it starts a dead role again. */
const RESTARTED_MS_MAX = 70_000;
const FOLDER = join(import.meta.dirname, "../screenshots");

test.describe.configure({ mode: "serial" });

let cluster: Cluster;
let buyer: Buyer;
let board: Page;

test.beforeAll(async ({ browser }) => {
  test.setTimeout(STARTED_MS_MAX + 60_000);
  mkdirSync(FOLDER, { recursive: true });
  cluster = await Cluster.start();
  buyer = await Buyer.start(cluster);
  const context = await browser.newContext({
    baseURL: cluster.url,
    viewport: { width: 1440, height: 900 },
    reducedMotion: "reduce",
  });
  board = await context.newPage();
  await board.goto("/sign-in?next=/health-board");
  await board.getByLabel("Username").fill(cluster.username);
  await board.getByLabel("Password").fill(cluster.password);
  await board.getByRole("button", { name: "Sign in" }).click();
  await allIsWell(60_000);
});

test.afterAll(async () => {
  test.setTimeout(120_000);
  await board?.context().close();
  await buyer?.stop();
  await cluster?.stop();
});

function role(name: string) {
  return board.getByRole("article", { name });
}

async function allIsWell(timeout: number) {
  await expect(board.getByRole("heading", { name: "Everything is up" })).toBeVisible({ timeout });
}

/** The whole page, for people; then examined by axe in one scheme: an alarm must be readable too, and does not last. */
async function photograph(name: string, colorScheme: "light" | "dark") {
  const looks = [
    { name: "light-phone", colorScheme: "light", viewport: { width: 390, height: 844 } },
    { name: "light-wide", colorScheme: "light", viewport: { width: 1440, height: 900 } },
    { name: "dark-wide", colorScheme: "dark", viewport: { width: 1440, height: 900 } },
  ] as const;
  for (const look of looks) {
    await board.emulateMedia({ colorScheme: look.colorScheme });
    await board.setViewportSize(look.viewport);
    await board.screenshot({ path: join(FOLDER, `${name}-${look.name}.png`), fullPage: true });
  }
  await board.emulateMedia({ colorScheme });
  const found = await violations(board);
  const heading = await board.getByRole("heading", { level: 1 }).textContent();
  expect(found, `${name}, ${colorScheme}, ${heading}`).toEqual([]);
}

test("the board of a cluster at work shows every role, queue and store", async () => {
  test.setTimeout(120_000);
  for (const name of ["gateway", "orders", "items", "stock", "relay", "monitor", "postgres", "broker"]) {
    await expect(role(`${name}: up`)).toBeVisible();
  }
  for (const name of ["orders", "gateway"])
    await expect(role(`${name}: up`).getByRole("listitem")).toHaveCount(2);
  const queues = board.getByRole("group", { name: "Queues" });
  for (const name of ["orders", "items", "stock"]) {
    await expect(queues.getByRole("row", { name: `holdfast.${name}` })).toBeVisible();
  }
  // Orders are placed all the time, and what the broker counts of them arrives here.
  const inAndOut = queues.getByRole("row", { name: "holdfast.orders" }).getByRole("cell");
  await expect(inAndOut.nth(3)).toHaveText(/[1-9]/, { timeout: 20_000 });
  await expect(inAndOut.nth(4)).toHaveText(/[1-9]/, { timeout: 20_000 });
  await photograph("cluster-up", "dark");
});

test("the board shows a killed consumer within 10 seconds, and its return", async () => {
  test.setTimeout(150_000);
  cluster.kill("stock");
  await expect(role("stock: down")).toBeVisible({ timeout: SHOWN_MS_MAX });
  await expect(board.getByRole("heading", { name: "Degraded" })).toBeVisible();
  await expect(board.getByText("stock is down", { exact: true })).toBeVisible();
  // Nobody works on the stock, and orders flow all the same.
  const before = buyer.accepted;
  await expect.poll(() => buyer.accepted).toBeGreaterThan(before + 10);
  await photograph("cluster-stock-down", "light");
  await expect(role("stock: up")).toBeVisible({ timeout: RESTARTED_MS_MAX });
  await allIsWell(SHOWN_MS_MAX);
  await expect(board.getByText(/stock-1 is down/)).toBeVisible();
  expect(buyer.refused).toEqual([]);
});

test("the death of one of two is told as that, and the other one goes on", async () => {
  test.setTimeout(150_000);
  cluster.kill("orders-1");
  await expect(role("orders: partly down")).toBeVisible({ timeout: SHOWN_MS_MAX });
  await expect(board.getByText("1 of 2 orders down", { exact: true })).toBeVisible();
  const before = buyer.accepted;
  await expect.poll(() => buyer.accepted, { timeout: 20_000 }).toBeGreaterThan(before + 10);
  await photograph("cluster-standby-down", "dark");
  await expect(role("orders: up")).toBeVisible({ timeout: RESTARTED_MS_MAX });
  await allIsWell(SHOWN_MS_MAX);
});

test("a command that nobody understands is listed, sent again in vain, and dropped", async () => {
  test.setTimeout(150_000);
  const producer = await connect(cluster.producers);
  const channel = await producer.createConfirmChannel();
  channel.publish("holdfast.commands", "order.place", Buffer.from("this is no JSON"), {
    contentType: "application/json",
    userId: new URL(cluster.producers).username,
  });
  await channel.waitForConfirms();
  await producer.close();
  const letters = board.getByRole("region", { name: "Dead letters" });
  const letter = letters.getByRole("listitem").filter({ hasText: "this is no JSON" });
  await expect(letter).toBeVisible({ timeout: 15_000 });
  await photograph("cluster-dead-letter", "light");
  await letter.getByRole("button", { name: "Retry" }).click();
  await expect(board.getByText("Sent again")).toBeVisible();
  // It is no better than before: a worker lays it aside again.
  await expect(letter).toHaveCount(1, { timeout: 15_000 });
  await letter.getByRole("button", { name: "Drop" }).click();
  await board.getByRole("dialog").getByRole("button", { name: "Drop" }).click();
  await expect(letters.getByText("None.")).toBeVisible({ timeout: 15_000 });
});
