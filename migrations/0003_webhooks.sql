-- Webhooks: which events were taken, and the readings that they ask for.

-- Every event that was answered 2xx, by its signed id and topic; nothing of what it said. Trimmed by age.
CREATE TABLE events (
    id TEXT NOT NULL,
    topic TEXT NOT NULL,
    body_hash INTEGER NOT NULL,
    -- What was done about it: 'read' (its record is read again), 'scanned' (its feed is), 'ignored' (no flow
    -- listens), 'foreign' (another store's), 'noted' (of the app or of privacy).
    done TEXT NOT NULL,
    -- Its signature was too old: it counted as a hint.
    stale INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (id, topic)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_at ON events (at);

-- How many events asked for this reading. A reading that began before the latest of them does not count for it.
ALTER TABLE inbox ADD COLUMN rings INTEGER NOT NULL DEFAULT 0;
-- When the latest event wants it read, and when the first of those that wait arrived; NULL: no event waits.
ALTER TABLE inbox ADD COLUMN ring_due INTEGER;
ALTER TABLE inbox ADD COLUMN rung_at INTEGER;
CREATE INDEX inbox_rung ON inbox (feed, urgency, due_at) WHERE parked IS NULL AND rung_at IS NOT NULL;
-- The latest event said that it was deleted.
ALTER TABLE inbox ADD COLUMN said_gone INTEGER NOT NULL DEFAULT 0;

-- Requests under privacy law, with what they name until they are carried out.
CREATE TABLE privacy (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('tell', 'redact', 'redact_all')),
    -- The customer's key, orders and words as a JSON object; NULL once carried out.
    names TEXT,
    at INTEGER NOT NULL,
    done_at INTEGER,
    result TEXT
) STRICT;
