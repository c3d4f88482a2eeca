-- The spine: cursors, the inbox of records to read, links between both sides, the outbox, file batches.
-- All stamps are milliseconds since 1970 UTC. All hashes are the first 64 bits of a SHA-256.

-- Small facts that outlive a process: about the state itself (owner '') or kept for a connector.
CREATE TABLE memory (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (owner, name)
) STRICT, WITHOUT ROWID;

-- Where each flow left off. A backfill is one more row. `position` belongs to the source.
CREATE TABLE cursors (
    flow TEXT NOT NULL,
    run TEXT NOT NULL,
    position TEXT,
    -- Of a backfill: the watermark that holds once it is done, fixed before it starts.
    watermark TEXT,
    done INTEGER NOT NULL DEFAULT 0,
    records INTEGER NOT NULL DEFAULT 0,
    control TEXT NOT NULL DEFAULT '0',
    ids_hash INTEGER NOT NULL DEFAULT 0,
    requests INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (flow, run)
) STRICT, WITHOUT ROWID;

CREATE TABLE flows (
    flow TEXT PRIMARY KEY,
    last_success_at INTEGER,
    last_error TEXT,
    last_error_at INTEGER
) STRICT, WITHOUT ROWID;

-- Records to be read by their key. One row a record: a second wish to read it is the same wish.
CREATE TABLE inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    feed TEXT NOT NULL,
    key TEXT NOT NULL,
    row_hash INTEGER NOT NULL,
    -- The time of change that the list showed: an answer from before it is an old one.
    stamp INTEGER,
    -- The flow whose history a person asked for: it takes the record however old it is.
    asked_by TEXT,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    missing INTEGER NOT NULL DEFAULT 0,
    parked TEXT,
    answer TEXT,
    discarded INTEGER NOT NULL DEFAULT 0,
    since INTEGER NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (feed, key)
) STRICT;
CREATE INDEX inbox_due ON inbox (feed, due_at) WHERE parked IS NULL;

-- One record as a flow knows it: the row it last understood, and what it last decided to send.
CREATE TABLE links (
    id INTEGER PRIMARY KEY,
    flow TEXT NOT NULL,
    key TEXT NOT NULL,
    stamp INTEGER,
    row_hash INTEGER NOT NULL,
    mapping INTEGER NOT NULL,
    want_hash INTEGER,
    epoch INTEGER NOT NULL,
    UNIQUE (flow, key)
) STRICT;

-- What a target should hold and does not yet. `body` is the mapped rows as a JSON list, frozen.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    flow TEXT NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL,
    hash INTEGER NOT NULL,
    -- The version that went before this one, sent or being sent.
    before INTEGER,
    -- The state file may be older than the target: compare with what was found there before sending.
    doubt INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN ('ready', 'sending', 'parked')),
    batch INTEGER REFERENCES batches (id),
    attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    answer TEXT,
    discarded INTEGER NOT NULL DEFAULT 0,
    at INTEGER NOT NULL
) STRICT;
-- Of one record at most one version waits, and at most one is parked beside it.
CREATE UNIQUE INDEX outbox_waiting ON outbox (flow, key) WHERE state = 'ready';
CREATE UNIQUE INDEX outbox_parked ON outbox (flow, key) WHERE state = 'parked';
CREATE INDEX outbox_ready ON outbox (flow, id) WHERE state = 'ready';
CREATE INDEX outbox_batch ON outbox (batch) WHERE batch IS NOT NULL;

-- Files. 'found': not ours as far as this state knows, so it was written by a later state than this one.
CREATE TABLE batches (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    flow TEXT NOT NULL,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('frozen', 'staged', 'published', 'found')),
    records INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    -- The file as it is to be, until it is published.
    content BLOB,
    at INTEGER NOT NULL,
    UNIQUE (target, name)
) STRICT;
CREATE INDEX batches_open ON batches (target) WHERE state IN ('frozen', 'staged');

-- Rows of found files, so that what they hold is not sent again.
CREATE TABLE found_rows (
    target TEXT NOT NULL,
    hash INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (target, hash)
) STRICT, WITHOUT ROWID;

-- For people: what happened, trimmed by age.
CREATE TABLE journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    flow TEXT NOT NULL,
    key TEXT,
    what TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX journal_of ON journal (flow, what, key);

-- Everything that waits for a person, under one numbering: even from the inbox, odd from the outbox.
CREATE VIEW failures AS
SELECT id * 2 AS id, feed AS place, 'read' AS stage, key, parked AS reason, answer, NULL AS body, attempts, since, at
FROM inbox WHERE parked IS NOT NULL AND discarded = 0
UNION ALL
SELECT id * 2 + 1, flow, 'deliver', key, reason, answer, body, attempts, at, at
FROM outbox WHERE state = 'parked' AND discarded = 0;
