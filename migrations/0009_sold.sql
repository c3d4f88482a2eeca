-- Stock on its way into a store that sells it: what was sold there and the ERP has not booked yet.

-- A ledger: one row for each change of how many pieces of a SKU an order takes. The pieces of an order are the sum of
-- its rows; an order that is cancelled has rows that add up to none.
CREATE TABLE sold (
    id INTEGER PRIMARY KEY,
    -- The flow that carries the order, and its key there.
    flow TEXT NOT NULL,
    key TEXT NOT NULL,
    -- Without blanks around it.
    sku TEXT NOT NULL,
    pieces INTEGER NOT NULL,
    -- The version in the outbox that tells of it; NULL: none does yet, as of an order that the flow leaves out.
    seq INTEGER,
    -- When the target had that version; NULL: it has not.
    booked_at INTEGER,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX sold_order ON sold (flow, key);
CREATE INDEX sold_sku ON sold (sku);
CREATE INDEX sold_booked ON sold (booked_at) WHERE booked_at IS NOT NULL;
CREATE INDEX sold_open ON sold (flow, key, seq) WHERE booked_at IS NULL;

-- The newest figure of each SKU as the ERP told it, to be sent once more when a sale changes what follows from it.
CREATE TABLE figures (
    flow TEXT NOT NULL,
    key TEXT NOT NULL,
    sku TEXT NOT NULL,
    body TEXT NOT NULL,
    hash INTEGER NOT NULL,
    stamp INTEGER,
    -- What was booked before this is in it.
    as_of INTEGER NOT NULL,
    PRIMARY KEY (flow, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX figures_sku ON figures (sku);

-- When the last scan of a feed (or of a stock flow, under the flow's name with a colon before it) that came to its end began and ended: what was sold before is known.
CREATE TABLE scans (
    feed TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    done INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Of a stock level: what was booked before this is in it.
ALTER TABLE outbox ADD COLUMN as_of INTEGER;
