/** Money is counted as the server counts it, whatever the browser thinks of a currency. */
import { expect, test } from "@playwright/test";
import { formatMoney, minorDigits, parseMajor, toMajor } from "../src/format";

const CASES = [
  // Two digits in ISO 4217; browsers show none of these.
  { currency: "IRR", amount: 129_950, digits: 2, major: "1299.50" },
  { currency: "RSD", amount: 129_950, digits: 2, major: "1299.50" },
  { currency: "LBP", amount: 129_950, digits: 2, major: "1299.50" },
  { currency: "HUF", amount: 129_950, digits: 2, major: "1299.50" },
  { currency: "COP", amount: 129_950, digits: 2, major: "1299.50" },
  { currency: "INR", amount: 129_950, digits: 2, major: "1299.50" },
  { currency: "IQD", amount: 1_299_500, digits: 3, major: "1299.500" },
  { currency: "KWD", amount: 1_299_500, digits: 3, major: "1299.500" },
  { currency: "JPY", amount: 1_299, digits: 0, major: "1299" },
  { currency: "ISK", amount: 1_299, digits: 0, major: "1299" },
];

/** However the locale writes points and commas. */
const digitsIn = (text: string) => text.replace(/\D/g, "");

test("amounts have the digits of ISO 4217, read and written", () => {
  for (const { currency, amount, digits, major } of CASES) {
    expect(minorDigits(currency), currency).toBe(digits);
    expect(toMajor({ amount, currency }), currency).toBe(major);
    expect(parseMajor(major, currency), currency).toBe(amount);
    expect(digitsIn(formatMoney({ amount, currency })), currency).toBe(digitsIn(major));
  }
  // Whole amounts have none after the point.
  expect(digitsIn(formatMoney({ amount: 129_900, currency: "HUF" }))).toBe("1299");
  expect(parseMajor("1299.5", "JPY")).toBeNull();
});
