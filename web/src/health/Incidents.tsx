/** What was away, from when to when. */
import type { Incident } from "../api/types";
import { formatSpan, formatTime } from "../format";
import classes from "./HealthBoard.module.css";

const SHOWN_MAX = 12;

export function Incidents({ incidents, now }: { incidents: Incident[]; now: number }) {
  const newest = [...incidents].sort((a, b) => Date.parse(b.from) - Date.parse(a.from)).slice(0, SHOWN_MAX);
  return (
    <section className={classes.panel} aria-labelledby="incidents-title">
      <h2 id="incidents-title" className={classes.title}>
        Incidents
      </h2>
      {newest.length === 0 ? (
        <p className={classes.none}>None so far.</p>
      ) : (
        <ol className={classes.timeline}>
          {newest.map((incident) => {
            const end = incident.to ? Date.parse(incident.to) : now;
            return (
              <li key={`${incident.what}-${incident.from}`} data-open={incident.to ? undefined : true}>
                <div className={classes.what}>{incident.what}</div>
                <div className={classes.when}>
                  <time dateTime={incident.from}>{formatTime(incident.from)}</time>
                  {incident.to ? ", lasted " : ", since "}
                  {formatSpan(end - Date.parse(incident.from))}
                </div>
              </li>
            );
          })}
        </ol>
      )}
    </section>
  );
}
