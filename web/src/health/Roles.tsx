/** Each role with its instances: up, down, since when; and what the roles stand on. */
import type { ReactNode } from "react";
import type { Health } from "../api/types";
import { formatExactTime, formatMs, formatSpan } from "../format";
import classes from "./HealthBoard.module.css";
import { instanceName, LIGHT_WORDS, type Light, roleLight, storesOf } from "./state";

export function Roles({ health, now }: { health: Health; now: number }) {
  return (
    <section aria-label="Roles and stores" className={classes.roles}>
      {health.roles.map((role) => (
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
      {storesOf(health).map((store) => (
        <Card key={store.name} name={store.name} light={store.light}>
          <li data-light={store.light}>
            <span className={classes.instance}>
              {store.light !== "up" ? "does not answer" : store.latencyMs === null ? "answers" : "answers in"}
            </span>
            {store.latencyMs !== null && <span className="num">{formatMs(store.latencyMs)}</span>}
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
