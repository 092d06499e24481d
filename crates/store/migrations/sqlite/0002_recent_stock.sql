-- What was written all over the place is written close together.

-- Rows of stock that changed and are not yet in their table: what each batch changed, as it stands after it, as
-- [["SKU","LOCATION",on_hand,held,allocated,unavailable,safety_stock,incoming,reorder_point],...]. The newest one
-- counts, before the row of the table. last_position is that of the batch.
CREATE TABLE stock_recent (
    last_position INTEGER PRIMARY KEY,
    changed TEXT NOT NULL
) STRICT;

-- Stock as it is now.
CREATE VIEW stock_now (sku, location, on_hand, held, allocated, unavailable, safety_stock, incoming, reorder_point) AS
WITH newest AS (
    SELECT row.value ->> 0 AS sku, row.value ->> 1 AS location, row.value AS counters, max(last_position)
    FROM stock_recent, json_each(changed) AS row GROUP BY 1, 2
)
SELECT sku, location, coalesce(counters ->> 2, on_hand), coalesce(counters ->> 3, held),
    coalesce(counters ->> 4, allocated), coalesce(counters ->> 5, unavailable),
    coalesce(counters ->> 6, safety_stock), coalesce(counters ->> 7, incoming),
    coalesce(counters ->> 8, reorder_point)
FROM stock LEFT JOIN newest USING (sku, location);

-- The newest movements of all SKUs lie close together, however many there are.
DROP INDEX IF EXISTS movements_of_sku;
CREATE UNIQUE INDEX movements_of_sku ON movements (position >> 14, sku, position, number);
