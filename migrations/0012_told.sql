-- Which alerts were told to whom, so that no start tells them again. What an alert says stands in `alerts` only.
CREATE TABLE told (
    channel TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Of the alert that was told; one that was raised anew since then is another one.
    since INTEGER NOT NULL,
    -- When it was told last.
    at INTEGER NOT NULL,
    PRIMARY KEY (channel, name)
) STRICT, WITHOUT ROWID;
