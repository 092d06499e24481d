/** Each role with its instances: up, down, since when; and what the roles stand on. */
import type { ReactNode } from "react";
import type { Health } from "../api/types";
import { formatExactTime, formatMs, formatSpan } from "../format";
import classes from "./HealthBoard.module.css";
import { instanceName, LIGHT_WORDS, type Light, roleLight } from "./state";

/** As the work flows, and as on the map; what else there may be comes last. */
const ORDER = ["gateway", "orders", "items", "stock", "relay", "projector", "monitor"];
const place = (role: string) => (ORDER.includes(role) ? ORDER.indexOf(role) : ORDER.length);

export function Roles({ health, now }: { health: Health; now: number }) {
  const roles = [...health.roles].sort((a, b) => place(a.role) - place(b.role));
  return (
    <section aria-label="Roles and stores" className={classes.roles}>
      {roles.map((role) => (
        <Card key={role.role} name={role.role} light={roleLight(role)}>
          {role.instances.map((instance) => {
            const { name, host } = instanceName(instance.id);
            return (
              <li key={instance.id} data-light={instance.status}>
                <i className={classes.lamp} data-light={instance.status} aria-hidden />
                <span className={classes.instance} title={instance.id}>
                  <b>{name}</b> {host}
                </span>
                <span className={classes.span} title={formatExactTime(instance.since)}>
                  {instance.status} {formatSpan(now - Date.parse(instance.since))}
                </span>
              </li>
            );
          })}
        </Card>
      ))}
      {health.stores.map((store) => (
        <Card key={store.name} name={store.name} light={store.status}>
          <li data-light={store.status}>
            <span className={classes.instance}>
              {store.latency_ms === null ? "does not answer" : "answers in"}
            </span>
            {store.latency_ms !== null && <span className="num">{formatMs(store.latency_ms)}</span>}
          </li>
        </Card>
      ))}
    </section>
  );
}

function Card({ name, light, children }: { name: string; light: Light; children: ReactNode }) {
  return (
    <article className={classes.role} data-light={light} aria-label={`${name}: ${LIGHT_WORDS[light]}`}>
      <header>
        <h2>{name}</h2>
        <span className={classes.word} data-light={light}>
          {LIGHT_WORDS[light]}
        </span>
      </header>
      <ul>{children}</ul>
    </article>
  );
}
