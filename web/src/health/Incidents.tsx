/** What was away, from when to when: the last hour as a strip, and the newest ones in words. */
import type { Incident } from "../api/types";
import { formatClock, formatExactTime, formatSpan } from "../format";
import classes from "./HealthBoard.module.css";

const SHOWN_MAX = 10;
const STRIP_MS = 60 * 60_000;
const STRIP_MARKS = [60, 45, 30, 15];

export function Incidents({ incidents, now }: { incidents: Incident[]; now: number }) {
  const newest = [...incidents].sort((a, b) => Date.parse(b.from) - Date.parse(a.from)).slice(0, SHOWN_MAX);
  return (
    <section className={classes.panel} aria-labelledby="incidents-title">
      <h2 id="incidents-title" className={classes.title}>
        Incidents
      </h2>
      <Strip incidents={incidents} now={now} />
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
                  <time dateTime={incident.from} title={formatExactTime(incident.from)}>
                    {formatClock(incident.from)}
                  </time>
                  {incident.to ? ", lasted " : ", for "}
                  {formatSpan(end - Date.parse(incident.from))}
                  {incident.to ? "" : " now"}
                </div>
              </li>
            );
          })}
        </ol>
      )}
    </section>
  );
}

/** Drawn for the eye only: the list says the same in words. */
function Strip({ incidents, now }: { incidents: Incident[]; now: number }) {
  const begin = now - STRIP_MS;
  const percent = (time: number) => ((Math.max(time, begin) - begin) / STRIP_MS) * 100;
  const recent = incidents.filter((incident) => !incident.to || Date.parse(incident.to) > begin);
  return (
    <div className={classes.strip} aria-hidden>
      <div className={classes.lane}>
        {recent.map((incident) => {
          const left = percent(Date.parse(incident.from));
          const right = incident.to ? percent(Date.parse(incident.to)) : 100;
          return (
            <i
              key={`${incident.what}-${incident.from}`}
              data-open={incident.to ? undefined : true}
              // Held at its end: a short one that has just begun must not fall off the edge.
              style={{ right: `${100 - right}%`, width: `${right - left}%` }}
            />
          );
        })}
      </div>
      <div className={classes.marks}>
        {STRIP_MARKS.map((minutes) => (
          <span key={minutes}>−{minutes} min</span>
        ))}
        <span>now</span>
      </div>
    </div>
  );
}
