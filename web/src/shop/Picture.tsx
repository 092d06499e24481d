/** An item's picture in a box that keeps its size; a quiet drawing where there is none. */
import { useState } from "react";
import classes from "./Picture.module.css";

type Props = {
  src?: string | null;
  alt: string;
  brand: string;
  eager?: boolean;
  dim?: boolean;
  small?: boolean;
};

export function Picture({ src, alt, brand, eager, dim, small }: Props) {
  const [broken, setBroken] = useState<string | null>(null);
  const show = src && broken !== src;
  return (
    <div className={classes.box} data-dim={dim || undefined} data-small={small || undefined}>
      {show ? (
        <img
          src={src}
          alt={alt}
          width={400}
          height={400}
          loading={eager ? "eager" : "lazy"}
          decoding="async"
          onError={() => setBroken(src)}
        />
      ) : (
        <Placeholder alt={alt} brand={brand} />
      )}
    </div>
  );
}

function Placeholder({ alt, brand }: { alt: string; brand: string }) {
  const letters = brand
    .split(/\s+/)
    .map((word) => word[0] ?? "")
    .join("")
    .slice(0, 2)
    .toUpperCase();
  return (
    <svg viewBox="0 0 100 100" role={alt ? "img" : "presentation"} aria-label={alt || undefined}>
      <rect x="38" y="8" width="24" height="84" rx="7" fill="var(--line)" />
      <circle cx="50" cy="50" r="27" fill="var(--surface)" stroke="var(--line)" strokeWidth="4" />
      <text x="50" y="56" textAnchor="middle" fontSize="16" fontWeight="600" fill="var(--ink-2)">
        {letters}
      </text>
    </svg>
  );
}
