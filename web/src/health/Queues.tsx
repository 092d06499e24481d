/** Queues: who consumes, what waits, how fast it flows. */
import type { Health } from "../api/types";
import { formatNumber, formatRate } from "../format";
import classes from "./HealthBoard.module.css";
import { isAbandoned } from "./state";

export function Queues({ health }: { health: Health }) {
  const { queues } = health;
  const brokerAway = health.stores.some((store) => store.name === "broker" && store.status === "down");
  return (
    <section className={classes.panel} aria-labelledby="queues-title">
      <h2 id="queues-title" className={classes.title}>
        Queues
      </h2>
      {queues.length === 0 ? (
        <p className={classes.none}>{brokerAway ? "The broker does not tell." : "None known."}</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        <div className={classes.scroll} tabIndex={0} role="group" aria-label="Queues">
          <table className={classes.table}>
            <thead>
              <tr>
                <th scope="col">Queue</th>
                <th scope="col">Consumers</th>
                <th scope="col">Ready</th>
                <th scope="col">Unacked</th>
                <th scope="col">In / s</th>
                <th scope="col">Out / s</th>
              </tr>
            </thead>
            <tbody>
              {queues.map((queue) => (
                <tr key={queue.name}>
                  <th scope="row">{queue.name}</th>
                  <td data-bad={isAbandoned(queue) || undefined}>{formatNumber(queue.consumers)}</td>
                  <td>{formatNumber(queue.ready)}</td>
                  <td>{formatNumber(queue.unacked)}</td>
                  <td>{rate(queue.publish_rate)}</td>
                  <td>{rate(queue.deliver_rate)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

/** Without a broker nobody counts messages. */
function rate(perSecond: number | null): string {
  return perSecond === null ? "–" : formatRate(perSecond);
}
