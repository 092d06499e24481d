/** What the board concludes from the health document. */
import type { Health, QueueHealth, RoleHealth } from "../api/types";

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

/** Dead letters and the log of events wait for whoever wants them; commands need somebody who works on them. */
export function isAbandoned(queue: QueueHealth): boolean {
  return queue.consumers === 0 && !/\.(dead|events)\b/.test(queue.name);
}

/** `HOST-ROLES-N`, where the host's own name may have dashes too. */
export function instanceName(id: string): { name: string; host: string } {
  const found = /^(.+)-([a-z]+(?:\+[a-z]+)*-\d+)$/.exec(id);
  return found ? { name: found[2] ?? id, host: found[1] ?? "" } : { name: id, host: "" };
}

export const LIGHT_WORDS: Record<Light, string> = {
  up: "up",
  degraded: "partly down",
  down: "down",
  none: "not running",
};

/** How all of it is: with something grave never up. */
export function overall(health: Health): Health["status"] {
  return health.status === "up" && troubles(health).some(({ grave }) => grave) ? "degraded" : health.status;
}

export type Trouble = { what: string; grave: boolean };

/** Everything that is not as it should be, in words, the worst first. Grave: nobody else does this work, or a promise does not hold. */
export function troubles(health: Health): Trouble[] {
  const found: Trouble[] = [];
  const grave = (what: string) => found.push({ what, grave: true });
  const light = (what: string) => found.push({ what, grave: false });
  if (health.roles.length === 0) light("no monitor has told anything yet");
  if (health.audit.oversold > 0) grave(`${health.audit.oversold} oversold`);
  if (health.audit.finding) grave(`audit stopped: ${health.audit.finding}`);
  for (const store of health.stores) if (store.status === "down") grave(`${store.name} is down`);
  const dead = health.roles.filter((role) => roleLight(role) === "down").map((role) => role.role);
  for (const role of dead) grave(`${role} is down`);
  for (const queue of health.queues) {
    // Where the role is known to be down its queue says nothing new.
    if (isAbandoned(queue) && !dead.some((role) => queue.name.startsWith(`holdfast.${role}`)))
      grave(`${queue.name} has no consumer`);
  }
  for (const role of health.roles) {
    if (roleLight(role) !== "degraded") continue;
    const down = role.instances.filter((i) => i.status === "down").length;
    light(`${down} of ${role.instances.length} ${role.role} down`);
  }
  if (found.length > 0 || health.status === "up") return found;
  // Something that this page knows no words of its own for.
  return health.incidents.filter(({ to }) => !to).map(({ what }) => ({ what, grave: false }));
}
