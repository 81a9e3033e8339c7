-- Snapshots that were asked for. name: of the directory. report: JSON. One without an end, which does not run, was
-- interrupted.
CREATE TABLE snapshots (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT    NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    report      TEXT    NOT NULL
) STRICT;
