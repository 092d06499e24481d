/** What every test starts from: the server's address, signed-in pages, and the API for arranging and checking. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  type APIRequestContext,
  type Browser,
  test as base,
  expect,
  type Page,
  request,
} from "@playwright/test";
import type { components } from "../src/api/schema";
import { type AccountName, PASSWORD } from "./server";

export { expect };
export type Item = components["schemas"]["Item"];
export type Order = components["schemas"]["Order"];
export type Stock = components["schemas"]["Stock"];

function fromSetup(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: the global setup has not run`);
  return value;
}

export const url = () => fromSetup("HOLDFAST_URL");

/** A file with the account's cookie; one sign-in an account and run, so that the server's limits are not met. */
async function stateOf(name: AccountName): Promise<string> {
  const path = join(fromSetup("HOLDFAST_STATES"), `${name}.json`);
  if (existsSync(path)) return path;
  const api = await request.newContext({ baseURL: url() });
  const answer = await api.post("/v1/sessions", {
    data: { username: name, password: PASSWORD },
    timeout: 30_000,
  });
  expect(answer.status(), await answer.text()).toBe(201);
  await api.storageState({ path });
  await api.dispose();
  return path;
}

/** What a browser sends by itself: the server takes a cookie for a change only from this site's own pages. */
export const sameSite = () => ({ Origin: url() });

export async function apiAs(name: AccountName): Promise<APIRequestContext> {
  return request.newContext({
    baseURL: url(),
    storageState: await stateOf(name),
    extraHTTPHeaders: sameSite(),
  });
}

/** A page of its own, as if on another machine. */
export async function pageAs(browser: Browser, name: AccountName | null, options = {}): Promise<Page> {
  const storageState = name ? await stateOf(name) : undefined;
  const habits = { locale: "en-IN", reducedMotion: "reduce" } as const;
  const context = await browser.newContext({ baseURL: url(), storageState, ...habits, ...options });
  return context.newPage();
}

/** Fills in the form that asks who is there. The session is this page's own, and a test may end it. */
export async function signIn(page: Page, name: AccountName) {
  await page.getByLabel("Username").fill(name);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** Ends the session of a page, as if by its account's other device. */
export async function endSession(page: Page) {
  const elsewhere = await request.newContext({
    baseURL: url(),
    storageState: await page.context().storageState(),
    extraHTTPHeaders: sameSite(),
  });
  expect((await elsewhere.delete("/v1/sessions/current")).status()).toBe(204);
  await elsewhere.dispose();
}

/** The first call of this kind is answered 202 by the server itself: taken, and decided a moment later. */
export async function answerLater(page: Page, path: string) {
  let calls = 0;
  await page.route(path, (route) => {
    if (route.request().method() === "GET" || calls++ > 0) return route.fallback();
    return route.continue({ headers: { ...route.request().headers(), prefer: "respond-async" } });
  });
}

/** Calls of this kind are answered 202 and not passed on, and stay pending until that is undone. */
export async function answerNever(page: Page, path: string): Promise<() => Promise<void>> {
  const id = "0190a6e0-0000-7000-8000-000000000001";
  await page.route(path, (route) => {
    if (route.request().method() === "GET") return route.fallback();
    return route.fulfill({ status: 202, json: { command_id: id, status: "pending" } });
  });
  await page.route("**/v1/commands/*", (route) => route.fulfill({ json: { id, status: "pending" } }));
  return async () => {
    await page.unroute(path);
    await page.unroute("**/v1/commands/*");
  };
}

let made = 0;

/** A fresh item with `stock` units at the first location. */
export async function makeItem(stock: number, extra: object = {}): Promise<Item> {
  const api = await apiAs("boss");
  const locations = await (await api.get("/v1/locations")).json();
  made += 1;
  const answer = await api.post("/v1/items", {
    data: {
      brand: "Testwerk",
      model: `Probe ${Date.now().toString(36)}${made}`,
      description: "Made for one test",
      price: { amount: 129_900, currency: "INR" },
      stock: [{ location: locations.items[0].code, quantity: stock }],
      ...extra,
    },
  });
  expect(answer.status(), await answer.text()).toBe(201);
  const item = await answer.json();
  // The catalogue is read from an eventually consistent model: wait until it shows the item.
  await api.get(`/v1/items/${item.sku}`, {
    headers: { "Holdfast-At-Least": answer.headers()["holdfast-position"] ?? "0" },
  });
  await api.dispose();
  return item;
}

export async function availableOf(sku: string): Promise<number> {
  const api = await apiAs("boss");
  const stock: Stock = await (await api.get(`/v1/stock/${sku}`)).json();
  await api.dispose();
  return stock.available;
}

/** The shop's card of an item, found through the search box; once nothing else is there, it moves no more. */
export async function findCard(page: Page, item: Item) {
  await page.goto("/shop");
  await page.getByRole("searchbox", { name: "Search" }).fill(item.model);
  const card = page.getByRole("article", { name: item.model });
  await expect(page).toHaveURL(/query=/);
  await expect(page.locator("[data-stale]")).toHaveCount(0);
  await expect(card).toBeVisible();
  return card;
}

type Fixtures = { customer: Page; boss: Page };

export const test = base.extend<Fixtures>({
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the names of the fixtures from this pattern
  baseURL: async ({}, use) => use(url()),
  customer: async ({ browser }, use) => {
    const page = await pageAs(browser, "anna");
    await use(page);
    await page.context().close();
  },
  boss: async ({ browser }, use) => {
    const page = await pageAs(browser, "boss");
    await use(page);
    await page.context().close();
  },
});
