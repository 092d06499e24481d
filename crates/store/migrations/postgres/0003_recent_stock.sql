-- What was written all over the place is written close together.

-- Rows of stock that changed and are not yet in their table: what each batch changed, as it stands after it, as
-- [["SKU","LOCATION",on_hand,held,allocated,unavailable,safety_stock,incoming,reorder_point],...]. The newest one
-- counts, before the row of the table. last_position is that of the batch.
CREATE TABLE stock_recent (
    last_position bigint PRIMARY KEY,
    changed text NOT NULL
);
-- Written once while others wait for the head, and soon deleted: not worth compressing.
ALTER TABLE stock_recent ALTER COLUMN changed SET STORAGE EXTERNAL;

-- Which transaction left the tables as they are: each that changes the log, or what is recent, leaves another one. The hash
-- says what happened, not which rows are in their table yet: two servers may have gone on differently from one backup.
ALTER TABLE log_head ADD COLUMN stamp uuid NOT NULL DEFAULT gen_random_uuid();

-- Stock as it is now.
CREATE VIEW stock_now (sku, location, on_hand, held, allocated, unavailable, safety_stock, incoming, reorder_point) AS
WITH newest AS (
    SELECT DISTINCT ON (1, 2) (counters ->> 0) COLLATE "C" AS sku, (counters ->> 1) COLLATE "C" AS location, counters
    FROM stock_recent, jsonb_array_elements(changed::jsonb) AS counters ORDER BY 1, 2, last_position DESC
)
SELECT sku, location, coalesce((counters ->> 2)::bigint, on_hand), coalesce((counters ->> 3)::bigint, held),
    coalesce((counters ->> 4)::bigint, allocated), coalesce((counters ->> 5)::bigint, unavailable),
    coalesce((counters ->> 6)::bigint, safety_stock), coalesce((counters ->> 7)::bigint, incoming),
    coalesce((counters ->> 8)::bigint, reorder_point)
FROM stock LEFT JOIN newest USING (sku, location);
