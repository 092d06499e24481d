/** The heart of the shop: an order is kept, and nobody gets what is not there. */
import { answerLater, availableOf, expect, findCard, makeItem, pageAs, test } from "./holdfast";

test("a customer registers, buys, and sees the order and the stock", async ({ page }) => {
  const item = await makeItem(12);
  const username = `guest-${Date.now().toString(36)}`;
  await page.goto("/register");
  await page.getByLabel("Username").fill(username);
  await page.getByLabel("Password").fill("short");
  await page.getByRole("button", { name: "Register" }).click();
  await expect(page.getByText(/At least 12 characters/)).toBeVisible();
  await page.getByLabel("Password").fill("a long enough password");
  await page.getByRole("button", { name: "Register" }).click();
  await expect(page.getByRole("button", { name: "Sign out" })).toBeVisible();

  const card = await findCard(page, item);
  await expect(card.getByText("12 in stock")).toBeVisible();
  await card.getByRole("button", { name: "Buy now" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Quantity").fill("3");
  await expect(dialog.getByText("₹3,897")).toBeVisible();
  await dialog.getByRole("button", { name: "Place order" }).click();
  await expect(dialog).toBeHidden();
  await expect(card.getByText("9 in stock")).toBeVisible();

  await page.getByRole("link", { name: "My orders" }).click();
  await expect(page).toHaveURL(/\/orders$/);
  const order = page.getByRole("article").first();
  await expect(order.getByText("accepted", { exact: true })).toBeVisible();
  await expect(order).toContainText(item.model);
  await expect(order).toContainText("3 ×");

  await order.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel order" }).click();
  await expect(order.getByText("cancelled", { exact: true })).toBeVisible();
  expect(await availableOf(item.sku)).toBe(12);
});

test("two customers race for the last unit and one gets an honest no", async ({ browser }) => {
  const item = await makeItem(1);
  const pages = await Promise.all([pageAs(browser, "anna"), pageAs(browser, "ben")]);
  for (const page of pages) {
    await page.goto(`/shop/${item.sku}`);
    await page.getByRole("button", { name: "Buy now" }).click();
    await expect(page.getByRole("dialog").getByRole("button", { name: "Place order" })).toBeEnabled();
  }
  await Promise.all(
    pages.map((page) => page.getByRole("dialog").getByRole("button", { name: "Place order" }).click()),
  );
  const outcomes = await Promise.all(
    pages.map((page) =>
      Promise.race([
        page
          .getByText("Order accepted")
          .waitFor()
          .then(() => "accepted"),
        page
          .getByText(/Sold out: somebody else was faster/)
          .waitFor()
          .then(() => "refused"),
      ]),
    ),
  );
  expect(outcomes.sort()).toEqual(["accepted", "refused"]);
  expect(await availableOf(item.sku)).toBe(0);
  for (const page of pages) await page.context().close();
});

test("asking for more than there is says what is left, and takes it on a click", async ({ customer }) => {
  const item = await makeItem(4);
  const card = await findCard(customer, item);
  await expect(card.getByText("Only 4 left")).toBeVisible();
  await card.getByRole("button", { name: "Buy now" }).click();
  const dialog = customer.getByRole("dialog");
  await dialog.getByLabel("Quantity").fill("9");
  await dialog.getByRole("button", { name: "Place order" }).click();
  await expect(dialog.getByText(/Only 4 still available, you asked for 9/)).toBeVisible();
  await dialog.getByRole("button", { name: "Take 4" }).click();
  await dialog.getByRole("button", { name: "Place order" }).click();
  await expect(dialog).toBeHidden();
  expect(await availableOf(item.sku)).toBe(0);
});

test("an answer that gets lost never becomes a second order", async ({ customer }) => {
  const item = await makeItem(10);
  await customer.goto(`/shop/${item.sku}`);
  let lost = 0;
  await customer.route("**/v1/orders", async (route) => {
    if (route.request().method() !== "POST" || lost > 0) return route.fallback();
    lost += 1;
    await route.fetch();
    await route.abort("connectionreset");
  });
  await customer.getByRole("button", { name: "Buy now" }).click();
  const dialog = customer.getByRole("dialog");
  await dialog.getByRole("button", { name: "Place order" }).click();
  await expect(dialog.getByText(/cannot be reached/)).toBeVisible();
  await dialog.getByRole("button", { name: "Place order" }).click();
  await expect(dialog).toBeHidden();
  expect(lost).toBe(1);
  expect(await availableOf(item.sku)).toBe(9);
});

test("stock changes arrive by themselves, without a reload", async ({ browser, customer }) => {
  const item = await makeItem(20);
  await customer.goto(`/shop/${item.sku}`);
  await expect(customer.getByText("20 in stock")).toBeVisible();
  const other = await pageAs(browser, "ben");
  await other.goto(`/shop/${item.sku}`);
  await other.getByRole("button", { name: "Buy now" }).click();
  await other.getByRole("dialog").getByLabel("Quantity").fill("13");
  await other.getByRole("dialog").getByRole("button", { name: "Place order" }).click();
  await expect(customer.getByText("7 in stock")).toBeVisible({ timeout: 6_000 });
  await other.context().close();
});

test("an administrator's own orders are in My orders, bought at once or from the cart", async ({ boss }) => {
  const [first, second] = [await makeItem(3), await makeItem(3)];
  await boss.goto(`/shop/${first.sku}`);
  await boss.getByRole("button", { name: "Buy now" }).click();
  await boss.getByRole("dialog").getByRole("button", { name: "Place order" }).click();
  await expect(boss.getByText("Order accepted")).toBeVisible();
  await boss.getByRole("link", { name: "My orders" }).click();
  await expect(boss.getByRole("article").first()).toContainText(first.model);

  await boss.goto(`/shop/${second.sku}`);
  await boss.getByRole("button", { name: "Add to cart" }).click();
  await expect(boss.getByText("In your cart")).toBeVisible();
  await boss.getByRole("link", { name: /^Cart/ }).click();
  await expect(boss.getByText("Held for you")).toBeVisible();
  await boss.getByRole("button", { name: "Place order" }).click();
  await expect(boss).toHaveURL(/\/orders$/);
  await expect(boss.getByRole("article").first()).toContainText(second.model);
});

test("an order that is decided later gets its own answer, a refusal too", async ({ customer }) => {
  const item = await makeItem(4);
  await answerLater(customer, "**/v1/orders");
  await customer.goto(`/shop/${item.sku}`);
  await customer.getByRole("button", { name: "Buy now" }).click();
  const dialog = customer.getByRole("dialog");
  await dialog.getByLabel("Quantity").fill("9");
  await dialog.getByRole("button", { name: "Place order" }).click();
  await expect(dialog.getByText(/Only 4 still available, you asked for 9/)).toBeVisible();
  expect(await availableOf(item.sku)).toBe(4);
});
