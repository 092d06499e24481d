/** What the board concludes from the health document. */
import type { Health, RoleHealth } from "../api/types";

export type Light = "up" | "degraded" | "down" | "none";

export function roleLight(role: RoleHealth | undefined): Light {
  if (!role || role.instances.length === 0) return "none";
  const up = role.instances.filter((i) => i.status === "up").length;
  if (up === 0) return "down";
  return up === role.instances.length ? "up" : "degraded";
}

export function findRole(health: Health, name: string): RoleHealth | undefined {
  return health.roles.find((role) => role.role === name);
}

/** Queues as the contract names them, shards included: holdfast.orders, holdfast.orders.0, … */
export function queuesOf(health: Health, role: string) {
  return health.queues.filter((q) => q.name === `holdfast.${role}` || q.name.startsWith(`holdfast.${role}.`));
}

export const LIGHT_WORDS: Record<Light, string> = {
  up: "up",
  degraded: "partly down",
  down: "down",
  none: "not running",
};

/** Everything that is not as it should be, in words, the worst first. */
export function troubles(health: Health): string[] {
  const found: string[] = [];
  for (const role of health.roles) {
    const light = roleLight(role);
    if (light === "down") found.push(`${role.role} is down`);
  }
  for (const store of health.stores) if (store.status === "down") found.push(`${store.name} is down`);
  for (const queue of health.queues) {
    const dead = queue.name.endsWith(".dead") || queue.name.includes(".events");
    if (queue.consumers === 0 && !dead) found.push(`${queue.name} has no consumer`);
  }
  for (const role of health.roles) {
    if (roleLight(role) !== "degraded") continue;
    const down = role.instances.filter((i) => i.status === "down").length;
    found.push(`${down} of ${role.instances.length} ${role.role} down`);
  }
  if (health.audit.oversold > 0) found.push(`${health.audit.oversold} oversold`);
  return found;
}
