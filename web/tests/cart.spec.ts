/** The cart keeps what it shows: holds on the server, with a countdown and an honest end. */
import { answerLater, answerNever, availableOf, expect, makeItem, pageAs, test } from "./holdfast";
import { PASSWORD } from "./server";

test("adding to the cart holds the units, and ordering confirms the hold", async ({ browser }) => {
  const item = await makeItem(6);
  const page = await pageAs(browser, "cleo");
  await page.goto(`/shop/${item.sku}`);
  await page.getByLabel("Units").fill("2");
  await page.getByRole("button", { name: "Add to cart" }).click();
  await expect(page.getByText("In your cart")).toBeVisible();
  expect(await availableOf(item.sku)).toBe(4);

  await page.getByRole("link", { name: /^Cart/ }).click();
  await expect(page.getByText("Held for you")).toBeVisible();
  await expect(page.getByRole("timer")).toHaveText(/^(15:00|14:\d\d)$/);
  await page.getByLabel(/^Quantity of/).fill("5");
  await expect.poll(() => availableOf(item.sku)).toBe(1);
  await expect(page.getByText("₹6,495")).toHaveCount(2);

  await page.getByRole("button", { name: "Place order" }).click();
  await expect(page).toHaveURL(/\/orders$/);
  await expect(page.getByRole("article").first().getByText("accepted", { exact: true })).toBeVisible();
  expect(await availableOf(item.sku)).toBe(1);
  await page.goto("/cart");
  await expect(page.getByRole("heading", { name: "Your cart is empty" })).toBeVisible();
  await page.context().close();
});

test("a hold that runs out says so, and its units are free again", async ({ browser }) => {
  const item = await makeItem(3);
  const page = await pageAs(browser, "cleo");
  // The pages ask for 15 minutes; on its way the wish is made 5 seconds, and the server's real clock does the rest.
  await page.route("**/v1/holds", (route) => {
    if (route.request().method() !== "POST") return route.fallback();
    return route.continue({
      postData: JSON.stringify({ ...route.request().postDataJSON(), ttl_seconds: 5 }),
    });
  });
  await page.goto(`/shop/${item.sku}`);
  await page.getByRole("button", { name: "Add to cart" }).click();
  await expect(page.getByText("In your cart")).toBeVisible();
  expect(await availableOf(item.sku)).toBe(2);
  await page.getByRole("link", { name: /^Cart/ }).click();
  await expect(page.getByText("The hold has expired")).toBeVisible({ timeout: 10_000 });
  await expect.poll(() => availableOf(item.sku), { timeout: 3_000 }).toBe(3);
  await page.unroute("**/v1/holds");
  await page.getByRole("button", { name: "Keep them for me" }).click();
  await expect(page.getByText("Held for you")).toBeVisible();
  expect(await availableOf(item.sku)).toBe(2);
  await page.getByRole("button", { name: /^Take .* out$/ }).click();
  await expect(page.getByRole("heading", { name: "Your cart is empty" })).toBeVisible();
  await expect.poll(() => availableOf(item.sku)).toBe(3);
  await page.context().close();
});

test("a cart that asks for too much keeps what it had", async ({ browser }) => {
  const item = await makeItem(3);
  const page = await pageAs(browser, "cleo");
  await page.goto(`/shop/${item.sku}`);
  await page.getByRole("button", { name: "Add to cart" }).click();
  await expect(page.getByText("In your cart")).toBeVisible();
  await page.goto("/cart");
  await page.getByLabel(/^Quantity of/).fill("8");
  await expect(page.getByText(/only 3 still available, you asked for 8/)).toBeVisible();
  await expect(page.getByText("Held for you")).toBeVisible();
  expect(await availableOf(item.sku)).toBe(2);
  await page.getByRole("button", { name: "Take 3" }).click();
  await expect.poll(() => availableOf(item.sku)).toBe(0);
  await page.getByRole("button", { name: /^Take .* out$/ }).click();
  await expect.poll(() => availableOf(item.sku)).toBe(3);
  await page.context().close();
});

test("what was chosen before signing in is held from the moment of signing in", async ({ page }) => {
  const item = await makeItem(4);
  await page.goto(`/shop/${item.sku}`);
  await page.getByRole("button", { name: "Add to cart" }).click();
  await expect(page.getByText("In your cart")).toBeVisible();
  expect(await availableOf(item.sku)).toBe(4);
  await page.getByRole("link", { name: /^Cart/ }).click();
  await page.getByRole("link", { name: "Continue to order" }).click();
  await page.getByLabel("Username").fill("cleo");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByText("Held for you")).toBeVisible();
  expect(await availableOf(item.sku)).toBe(3);

  // The answer to the confirmation gets lost: asking again gives the same order, not a second one.
  let lost = 0;
  await page.route("**/confirm", async (route) => {
    if (lost > 0) return route.fallback();
    lost += 1;
    await route.fetch();
    await route.abort("connectionreset");
  });
  await page.getByRole("button", { name: "Place order" }).click();
  await expect(page.getByText(/cannot be reached/)).toBeVisible();
  await page.getByRole("button", { name: "Place order" }).click();
  await expect(page).toHaveURL(/\/orders$/);
  expect(lost).toBe(1);
  expect(await availableOf(item.sku)).toBe(3);
});

test("two items that are added in quick succession are both in the cart", async ({ browser }) => {
  const items = [await makeItem(3), await makeItem(3)];
  const page = await pageAs(browser, "cleo");
  // Each hold takes its time: the second click comes while the first one is still under way.
  await page.route("**/v1/holds", async (route) => {
    if (route.request().method() === "POST") await new Promise((done) => setTimeout(done, 1_000));
    await route.fallback();
  });
  await page.goto("/shop?query=Testwerk");
  for (const item of items) {
    await page
      .getByRole("article", { name: item.model })
      .getByRole("button", { name: "Add to cart" })
      .click();
  }
  await expect(page.getByText("In your cart")).toHaveCount(2);
  await page.getByRole("link", { name: /^Cart/ }).click();
  for (const item of items) {
    await expect(page.getByLabel(`Quantity of ${item.brand} ${item.model}`)).toHaveValue("1");
    expect(await availableOf(item.sku)).toBe(2);
    await page.getByRole("button", { name: `Take ${item.brand} ${item.model} out` }).click();
    await expect.poll(() => availableOf(item.sku)).toBe(3);
  }
  await page.context().close();
});

test("what is ordered is what is shown: a quantity that is being changed is waited for", async ({
  browser,
}) => {
  const item = await makeItem(6);
  const page = await pageAs(browser, "cleo");
  await page.goto(`/shop/${item.sku}`);
  await page.getByRole("button", { name: "Add to cart" }).click();
  await expect(page.getByText("In your cart")).toBeVisible();
  await page.getByRole("link", { name: /^Cart/ }).click();
  await expect(page.getByText("Held for you")).toBeVisible();
  const order = page.getByRole("button", { name: "Place order" });
  await expect(order).toBeEnabled();
  let release = () => {};
  const released = new Promise<void>((done) => {
    release = done;
  });
  await page.route("**/v1/holds", async (route) => {
    await released;
    await route.fallback();
  });
  await page.getByLabel(/^Quantity of/).fill("4");
  await expect(order).toBeDisabled();
  // Long after the typing has settled: the change is on its way, and nobody can order something else.
  await page.waitForTimeout(800);
  await expect(order).toBeDisabled();
  release();
  await expect(order).toBeEnabled();
  await order.click();
  await expect(page).toHaveURL(/\/orders$/);
  await expect(page.getByRole("article").first()).toContainText("4 ×");
  expect(await availableOf(item.sku)).toBe(2);
  await page.context().close();
});

test("a quantity that is changed just before leaving the cart is changed", async ({ browser }) => {
  const item = await makeItem(6);
  const page = await pageAs(browser, "cleo");
  await page.goto(`/shop/${item.sku}`);
  await page.getByRole("button", { name: "Add to cart" }).click();
  await expect(page.getByText("In your cart")).toBeVisible();
  await page.getByRole("link", { name: /^Cart/ }).click();
  await expect(page.getByText("Held for you")).toBeVisible();
  await page.getByLabel(/^Quantity of/).fill("3");
  // Without a click, which would take the focus out of the field first.
  await page.evaluate(() => window.history.back());
  await expect(page).toHaveURL(new RegExp(`/shop/${item.sku}$`));
  await expect.poll(() => availableOf(item.sku)).toBe(3);
  await page.getByRole("link", { name: /^Cart/ }).click();
  await expect(page.getByLabel(/^Quantity of/)).toHaveValue("3");
  await page.getByRole("button", { name: /^Take .* out$/ }).click();
  await expect.poll(() => availableOf(item.sku)).toBe(6);
  await page.context().close();
});

test("a hold whose answer gets lost is asked for again, not taken twice", async ({ browser }) => {
  const item = await makeItem(5);
  const page = await pageAs(browser, "cleo");
  let lost = 0;
  await page.route("**/v1/holds", async (route) => {
    if (route.request().method() !== "POST" || lost > 0) return route.fallback();
    lost += 1;
    await route.fetch();
    await route.abort("connectionreset");
  });
  await page.goto(`/shop/${item.sku}`);
  const add = page.getByRole("button", { name: "Add to cart" });
  await add.click();
  await expect(page.getByText("Not added")).toBeVisible();
  expect(await availableOf(item.sku)).toBe(4);
  await add.click();
  await expect(page.getByText("In your cart")).toBeVisible();
  expect(lost).toBe(1);
  expect(await availableOf(item.sku)).toBe(4);
  await page.goto("/cart");
  await page.getByRole("button", { name: /^Take .* out$/ }).click();
  await expect.poll(() => availableOf(item.sku)).toBe(5);
  await page.context().close();
});

test("a hold and an order that are decided later are waited for", async ({ browser }) => {
  const item = await makeItem(5);
  const page = await pageAs(browser, "cleo");
  await answerLater(page, "**/v1/holds");
  await page.goto(`/shop/${item.sku}`);
  await page.getByRole("button", { name: "Add to cart" }).click();
  await expect(page.getByText("In your cart")).toBeVisible();
  expect(await availableOf(item.sku)).toBe(4);
  await page.getByRole("link", { name: /^Cart/ }).click();
  await expect(page.getByText("Held for you")).toBeVisible();

  const decide = await answerNever(page, "**/confirm");
  const order = page.getByRole("button", { name: "Place order" });
  await order.click();
  await expect(page.getByText(/^Received; it is being decided/)).toBeVisible();
  await expect(page.getByLabel(/^Quantity of/)).toHaveValue("1");
  await decide();
  await answerLater(page, "**/confirm");
  await order.click();
  await expect(page).toHaveURL(/\/orders$/);
  await expect(page.getByText("Order accepted")).toBeVisible();
  expect(await availableOf(item.sku)).toBe(4);
  await page.context().close();
});
