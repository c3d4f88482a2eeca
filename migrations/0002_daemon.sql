-- The daemon: who asked for a reading and how urgently, what a sweep saw, what a file holds, and which
-- of its times a flow's schedule was last served.

-- 0: someone rang for it. 1: it changed lately. 2: it can wait.
ALTER TABLE inbox ADD COLUMN urgency INTEGER NOT NULL DEFAULT 1;
-- The flows that are to send it even if nothing of it changed: `,one,other,`.
ALTER TABLE inbox ADD COLUMN again TEXT NOT NULL DEFAULT '';
DROP INDEX inbox_due;
CREATE INDEX inbox_due ON inbox (feed, urgency, due_at) WHERE parked IS NULL;

-- The sweep that saw it last, and since when a sweep has not found it at its source.
ALTER TABLE links ADD COLUMN swept INTEGER NOT NULL DEFAULT 0;
ALTER TABLE links ADD COLUMN gone_at INTEGER;
CREATE INDEX links_gone ON links (flow) WHERE gone_at IS NOT NULL;

-- The keys of the records in the file, as a JSON list in the order of their rows.
ALTER TABLE batches ADD COLUMN keys TEXT;
-- Counts publications, over all targets: files are not always published in the order of their ids.
ALTER TABLE batches ADD COLUMN published INTEGER;
UPDATE batches SET published = id WHERE state = 'published';
CREATE INDEX batches_published ON batches (published) WHERE published IS NOT NULL;

-- The latest time of its schedule that was served, and when that run began.
ALTER TABLE flows ADD COLUMN slot_at INTEGER;
ALTER TABLE flows ADD COLUMN run_at INTEGER;

-- A flow's first walk is resumed by its name alone from now on; one that a later walk over everything took
-- the place of is not under way any more.
UPDATE cursors SET done = 1 WHERE run = 'initial' AND done = 0
    AND EXISTS (SELECT 1 FROM cursors live WHERE live.flow = cursors.flow AND live.run = 'live');
