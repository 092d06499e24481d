/** Every page, light and dark, wide and narrow: looked at by axe, and photographed for people. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "@playwright/test";
import { violations } from "./axe";
import { apiAs, expect, pageAs, test } from "./holdfast";
import type { AccountName } from "./server";

const FOLDER = join(import.meta.dirname, "../screenshots");
/** Each page is opened at both widths, and changes between light and dark under the reader's eyes. Axe, which takes
 * seconds a page, sees each width and each scheme once. */
const SIZES = [
  { name: "wide", viewport: { width: 1440, height: 900 }, schemes: ["light", "dark"] },
  { name: "phone", viewport: { width: 390, height: 844 }, schemes: ["dark", "light"] },
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

/** One reader's machine: its cache stays from page to page, as in life. */
class Reader {
  readonly broken: string[] = [];
  private constructor(readonly page: Page) {
    page.on("pageerror", (error) => this.broken.push(error.message));
  }
  static async at(browser: Browser, name: AccountName | null, options: object): Promise<Reader> {
    return new Reader(await pageAs(browser, name, options));
  }
}

for (const { name: size, viewport, schemes } of SIZES) {
  test(`every page is whole and usable, light and dark: ${size}`, async ({ browser }) => {
    test.setTimeout(400_000);
    mkdirSync(FOLDER, { recursive: true });
    const found: string[] = [];
    const readers = new Map<AccountName | null, Reader>();
    for (const visit of await arrange()) {
      const reader =
        readers.get(visit.as) ?? (await Reader.at(browser, visit.as, { viewport, colorScheme: schemes[0] }));
      readers.set(visit.as, reader);
      const { page, broken } = reader;
      await page.emulateMedia({ colorScheme: schemes[0] });
      await page.goto(visit.path);
      await expect(
        page.getByRole("heading", { level: 1 }).or(page.getByRole("heading")).first(),
      ).toBeAttached();
      await expect(page.locator('[aria-busy="true"]')).toHaveCount(0);
      await visit.act?.(page);
      await page.waitForTimeout(350);
      for (const scheme of schemes) {
        await page.emulateMedia({ colorScheme: scheme });
        await expect(page.locator("html")).toHaveAttribute("data-mantine-color-scheme", scheme);
        await page.screenshot({ path: join(FOLDER, `${visit.name}-${scheme}-${size}.png`) });
        if (scheme === schemes[0])
          for (const violation of await violations(page)) found.push(`${visit.name}: ${violation}`);
      }
      const wide = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      if (wide > 1) found.push(`${visit.name}: ${wide} px wider than the screen`);
      for (const message of broken.splice(0)) found.push(`${visit.name}: ${message}`);
    }
    for (const { page } of readers.values()) await page.context().close();
    expect(found.join("\n")).toBe("");
  });
}
