-- Files that others drop: each from the first look at it until it is put away, and what it will change until that is done.

CREATE TABLE dropped (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    feed TEXT NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    modified INTEGER,
    -- 'seen': it may still be written. 'waiting': its footer is not there. 'held': a person is to look at it.
    -- 'staged': all of it was read, and takes effect. 'closing': it is to be put away. 'done'.
    state TEXT NOT NULL CHECK (state IN ('seen', 'waiting', 'held', 'staged', 'closing', 'done')),
    -- Since when it has not changed.
    seen_at INTEGER NOT NULL,
    -- A person said that it is right as it is.
    approved INTEGER NOT NULL DEFAULT 0,
    -- Which is newer: the greater one. Of its name or of its time of change.
    placed INTEGER,
    by_name INTEGER NOT NULL DEFAULT 0,
    -- SHA-256 of its bytes.
    hash TEXT,
    rows INTEGER NOT NULL DEFAULT 0,
    changed INTEGER NOT NULL DEFAULT 0,
    -- 'applied', 'same' as one before, 'older' than one before, 'rejected'.
    verdict TEXT,
    told TEXT NOT NULL DEFAULT '',
    -- What is written beside a rejected file.
    report TEXT NOT NULL DEFAULT '',
    -- Its name once it is put away.
    away TEXT NOT NULL DEFAULT '',
    at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX dropped_open ON dropped (feed, name) WHERE state <> 'done';
CREATE INDEX dropped_name ON dropped (feed, name, id);
CREATE INDEX dropped_hash ON dropped (feed, hash) WHERE verdict = 'applied';
CREATE INDEX dropped_placed ON dropped (feed, placed) WHERE verdict = 'applied';

-- What a file will change, one row a record and flow. Nothing of it counts before all of the file was read.
CREATE TABLE dropped_rows (
    file INTEGER NOT NULL REFERENCES dropped (id) ON DELETE CASCADE,
    line INTEGER NOT NULL,
    flow TEXT NOT NULL,
    key TEXT NOT NULL,
    row_hash INTEGER NOT NULL,
    mapping INTEGER NOT NULL,
    -- NULL: the row fails, and `failed` says why; or it only ends an earlier failure.
    body TEXT,
    hash INTEGER,
    before INTEGER,
    act TEXT NOT NULL DEFAULT 'put',
    first INTEGER NOT NULL DEFAULT 0,
    doubt INTEGER NOT NULL DEFAULT 0,
    level INTEGER,
    failed TEXT,
    PRIMARY KEY (file, line, flow)
) STRICT, WITHOUT ROWID;

-- The quantity that was last decided to be sent, where the record has one.
ALTER TABLE links ADD COLUMN level INTEGER;

-- What the other side confirmed of what was written for it: the version, and when that was told. A record whose last
-- sent version is not here is not confirmed.
CREATE TABLE acks (
    flow TEXT NOT NULL,
    key TEXT NOT NULL,
    hash INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (flow, key)
) STRICT, WITHOUT ROWID;
