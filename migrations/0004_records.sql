-- Targets that take records one by one: what became of each record there, and where each call stands.

-- What is asked of the target: to hold the body, or to cancel the record.
ALTER TABLE outbox ADD COLUMN act TEXT NOT NULL DEFAULT 'put' CHECK (act IN ('put', 'cancel'));
-- The source's time of change of this version. Of several flows into one resource the newest wins.
ALTER TABLE outbox ADD COLUMN stamp INTEGER;
-- Nothing is done about it before this.
ALTER TABLE outbox ADD COLUMN due_at INTEGER NOT NULL DEFAULT 0;
-- Once it was claimed: where it goes, and as what call under which key. A create keeps all of it until it is settled.
ALTER TABLE outbox ADD COLUMN target TEXT;
ALTER TABLE outbox ADD COLUMN feed TEXT;
ALTER TABLE outbox ADD COLUMN call TEXT CHECK (call IN ('create', 'update', 'cancel'));
ALTER TABLE outbox ADD COLUMN idem TEXT;
-- A writing call may be on its way. Committed before its first byte leaves, so whatever is found like this at a
-- start may have been carried out.
ALTER TABLE outbox ADD COLUMN wire INTEGER NOT NULL DEFAULT 0;
-- A call went unanswered. It stays in 'sending', so that newer versions wait behind it.
ALTER TABLE outbox ADD COLUMN unsure INTEGER NOT NULL DEFAULT 0;
-- Looks since then that found nothing.
ALTER TABLE outbox ADD COLUMN looked INTEGER NOT NULL DEFAULT 0;
-- The last call as it went, secrets masked.
ALTER TABLE outbox ADD COLUMN request TEXT;
CREATE INDEX outbox_claimed ON outbox (target, feed, key) WHERE target IS NOT NULL;
CREATE INDEX outbox_sending ON outbox (flow, due_at) WHERE state = 'sending';

-- One record of a source as a target knows it. There is one row for each record that was ever created there.
CREATE TABLE refs (
    target TEXT NOT NULL,
    feed TEXT NOT NULL,
    key TEXT NOT NULL,
    -- The target's own id; NULL: it is there, and the id is not known.
    id TEXT,
    -- Of what it was given last, by whom, and the source's time of change of that.
    hash INTEGER NOT NULL,
    flow TEXT NOT NULL,
    stamp INTEGER,
    cancelled INTEGER NOT NULL DEFAULT 0,
    -- It changed since, and the target cannot be told.
    unsent INTEGER NOT NULL DEFAULT 0,
    -- An unanswered call may still be carried out until then: nothing else is sent of it before.
    settles_at INTEGER NOT NULL DEFAULT 0,
    at INTEGER NOT NULL,
    PRIMARY KEY (target, feed, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX refs_id ON refs (target, id);
CREATE INDEX refs_flow ON refs (flow);
CREATE INDEX refs_unsent ON refs (flow) WHERE unsent > 0;

-- For `tail`: the latest calls that were done.
CREATE TABLE deliveries (
    n INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    flow TEXT NOT NULL,
    key TEXT NOT NULL,
    call TEXT NOT NULL,
    id TEXT
) STRICT;

DROP VIEW failures;
CREATE VIEW failures AS
SELECT id * 2 AS id, feed AS place, 'read' AS stage, key, parked AS reason, answer, NULL AS body, attempts, since, at,
    NULL AS request, 0 AS unsure
FROM inbox WHERE parked IS NOT NULL AND discarded = 0
UNION ALL
SELECT id * 2 + 1, flow, 'deliver', key, reason, answer, body, attempts, at, at, request, unsure
FROM outbox WHERE state = 'parked' AND discarded = 0;
