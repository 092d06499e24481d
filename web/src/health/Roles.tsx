/** Each role with its instances: up, down, since when. */
import type { Health } from "../api/types";
import { formatExactTime, formatMs, formatSpan } from "../format";
import classes from "./HealthBoard.module.css";
import { LIGHT_WORDS, roleLight } from "./state";

export function Roles({ health, now }: { health: Health; now: number }) {
  return (
    <section aria-label="Roles and stores" className={classes.roles}>
      {health.roles.map((role) => {
        const light = roleLight(role);
        return (
          <article
            key={role.role}
            className={classes.role}
            data-light={light}
            aria-label={`${role.role}: ${LIGHT_WORDS[light]}`}
          >
            <header>
              <i className={classes.lamp} data-light={light} aria-hidden />
              <h2>{role.role}</h2>
              <span data-light={light}>{LIGHT_WORDS[light]}</span>
            </header>
            <ul>
              {role.instances.map((instance) => (
                <li key={instance.id}>
                  <span className={classes.instance} title={instance.id}>
                    {instance.id}
                  </span>
                  <span data-light={instance.status} title={formatExactTime(instance.since)}>
                    {instance.status} {formatSpan(now - Date.parse(instance.since))}
                  </span>
                </li>
              ))}
            </ul>
          </article>
        );
      })}
      {health.stores.map((store) => (
        <article
          key={store.name}
          className={classes.role}
          data-light={store.status}
          aria-label={`${store.name}: ${store.status}`}
        >
          <header>
            <i className={classes.lamp} data-light={store.status} aria-hidden />
            <h2>{store.name}</h2>
            <span data-light={store.status}>{store.status}</span>
          </header>
          <ul>
            <li>
              <span className={classes.instance}>answers in</span>
              <span className="num">{formatMs(store.latency_ms)}</span>
            </li>
          </ul>
        </article>
      ))}
    </section>
  );
}
