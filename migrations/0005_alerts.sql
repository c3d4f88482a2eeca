-- What stands in the way of data until a person does something about it, and is no single record's trouble.
CREATE TABLE alerts (
    name TEXT PRIMARY KEY,
    -- When it was raised, and when it was last found to be so.
    since INTEGER NOT NULL,
    at INTEGER NOT NULL,
    -- What is wrong and what to do now.
    told TEXT NOT NULL
) STRICT, WITHOUT ROWID;
