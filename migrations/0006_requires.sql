-- Records that wait for others: an order for its customer, until the target has told the customer's id.

-- One row for each record that is waited for. It goes in the transaction that makes the id known, and with the last
-- of them the record that waited is due to be read. One whose required record failed is parked in the outbox, and
-- keeps its rows, so that it goes on by itself.
CREATE TABLE waits (
    -- Who waits, and where it is read.
    flow TEXT NOT NULL,
    key TEXT NOT NULL,
    feed TEXT NOT NULL,
    -- For what: the flow that delivers it, where that is read and where it goes.
    need_flow TEXT NOT NULL,
    need_feed TEXT NOT NULL,
    need_target TEXT NOT NULL,
    need_key TEXT NOT NULL,
    -- The key that the required record is read by.
    need_whole TEXT NOT NULL,
    -- It is to be sent even if nothing of it changed.
    again INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (flow, key, need_flow, need_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX waits_for ON waits (need_feed, need_whole);
