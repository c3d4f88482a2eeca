-- Records that a target lost, as after the restore of an older copy, and that are created there once more.

-- A key under which a record was created answers for the one that is gone: a target that trusts it would tell of the
-- dead record and create nothing. So what is created again goes out under a key with this in it, for good.
CREATE TABLE lost (
    target TEXT NOT NULL,
    feed TEXT NOT NULL,
    key TEXT NOT NULL,
    generation TEXT NOT NULL,
    PRIMARY KEY (target, feed, key)
) STRICT, WITHOUT ROWID;
