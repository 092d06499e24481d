/** Every page, light and dark, wide and narrow: looked at by axe, and photographed for people. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { apiAs, expect, pageAs, test } from "./holdfast";
import type { AccountName } from "./server";

const FOLDER = join(import.meta.dirname, "../screenshots");
// Axe takes seconds a page: each scheme and each width is examined once, the other two are only photographed.
const LOOKS = [
  { name: "light-wide", axe: true, colorScheme: "light", viewport: { width: 1440, height: 900 } },
  { name: "dark-wide", axe: false, colorScheme: "dark", viewport: { width: 1440, height: 900 } },
  { name: "light-phone", axe: false, colorScheme: "light", viewport: { width: 390, height: 844 } },
  { name: "dark-phone", axe: true, colorScheme: "dark", viewport: { width: 390, height: 844 } },
] as const;

type Visit = { name: string; path: string; as: AccountName | null; act?: (page: Page) => Promise<void> };

async function aSku(): Promise<string> {
  const api = await apiAs("boss");
  const page = await (await api.get("/v1/items?limit=1&in_stock=true")).json();
  await api.dispose();
  return page.items[0].sku;
}

async function arrange(): Promise<Visit[]> {
  const sku = await aSku();
  const buyer = await apiAs("anna");
  await buyer.post("/v1/orders", { data: { lines: [{ sku, quantity: 1 }] } });
  await buyer.dispose();
  const addToCart = async (page: Page) => {
    await page.getByRole("button", { name: "Add to cart" }).click();
    await expect(page.getByText("In your cart")).toBeVisible();
    await page.goto("/cart");
    await expect(page.getByText("Held for you")).toBeVisible();
  };
  const emptyCart = { name: "cart-empty", path: "/cart", as: null };
  return [
    { name: "shop", path: "/shop", as: null },
    { name: "item", path: `/shop/${sku}`, as: null },
    {
      name: "buy",
      path: `/shop/${sku}`,
      as: "anna",
      act: async (page) => {
        await page.getByRole("button", { name: "Buy now" }).click();
        await expect(page.getByRole("dialog").getByLabel("Quantity")).toBeFocused();
      },
    },
    { name: "cart", path: `/shop/${sku}`, as: "cleo", act: addToCart },
    emptyCart,
    { name: "orders", path: "/orders", as: "anna" },
    { name: "account", path: "/account", as: "anna" },
    { name: "register", path: "/register", as: null },
    { name: "sign-in", path: "/sign-in", as: null },
    { name: "not-found", path: "/nowhere", as: null },
    { name: "not-allowed", path: "/admin", as: "anna" },
    { name: "admin", path: "/admin", as: "boss" },
    { name: "admin-items", path: "/admin/items", as: "boss" },
    {
      name: "admin-add-item",
      path: "/admin/items",
      as: "boss",
      act: async (page) => {
        await page.getByRole("button", { name: "Add item" }).click();
        await expect(page.getByRole("dialog").getByLabel("Brand")).toBeFocused();
      },
    },
    { name: "admin-item", path: `/admin/items/${sku}`, as: "boss" },
    { name: "admin-stock", path: "/admin/stock", as: "boss" },
    {
      name: "admin-stock-change",
      path: "/admin/stock",
      as: "boss",
      act: async (page) => {
        await page
          .getByRole("button", { name: /^\S+ at \S+: / })
          .first()
          .click();
        await expect(page.getByRole("button", { name: "Receive" })).toBeVisible();
      },
    },
    { name: "admin-orders", path: "/admin/orders", as: "boss" },
    { name: "admin-locations", path: "/admin/locations", as: "boss" },
    { name: "admin-import", path: "/admin/import", as: "boss" },
    { name: "admin-accounts", path: "/admin/accounts", as: "boss" },
    { name: "admin-api-keys", path: "/admin/api-keys", as: "boss" },
    { name: "health-board", path: "/health-board", as: "boss" },
  ];
}

for (const look of LOOKS) {
  test(`every page is whole and usable: ${look.name}`, async ({ browser }) => {
    test.setTimeout(180_000);
    mkdirSync(FOLDER, { recursive: true });
    const { name: lookName, axe, ...options } = look;
    const found: string[] = [];
    for (const visit of await arrange()) {
      const page = await pageAs(browser, visit.as, { ...options, reducedMotion: "reduce" });
      const broken: string[] = [];
      page.on("pageerror", (error) => broken.push(error.message));
      await page.goto(visit.path);
      await expect(
        page.getByRole("heading", { level: 1 }).or(page.getByRole("heading")).first(),
      ).toBeAttached();
      await expect(page.locator('[aria-busy="true"]')).toHaveCount(0);
      await visit.act?.(page);
      await page.waitForTimeout(350);
      await page.screenshot({ path: join(FOLDER, `${visit.name}-${lookName}.png`) });
      const violations = axe ? (await new AxeBuilder({ page }).analyze()).violations : [];
      for (const v of violations.filter((v) => v.impact === "serious" || v.impact === "critical")) {
        found.push(
          `${visit.name}: ${v.id} (${v.help}) ${v.nodes
            .slice(0, 3)
            .map((n) => n.target.join(" "))
            .join(" | ")}`,
        );
      }
      const wide = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      if (wide > 1) found.push(`${visit.name}: ${wide} px wider than the screen`);
      for (const message of broken) found.push(`${visit.name}: ${message}`);
      await page.context().close();
    }
    expect(found.join("\n")).toBe("");
  });
}
