/** Axe, for what people need who cannot see a page well, or use no mouse. */
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";

/** What is seriously wrong with the page as it stands. */
export async function violations(page: Page): Promise<string[]> {
  const found = await new AxeBuilder({ page }).options({ resultTypes: ["violations"] }).analyze();
  return found.violations
    .filter((v) => v.impact === "serious" || v.impact === "critical")
    .map((v) => {
      const where = v.nodes.slice(0, 3).map((n) => `${n.target.join(" ")}: ${n.failureSummary}`);
      return `${v.id} (${v.help}), ${v.nodes.length} times, as at ${where.join(" | ")}`;
    });
}
