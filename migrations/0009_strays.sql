-- Files among the blobs that no row names. A file is only believed to be nobody's when two looks, long enough apart, found it so.
-- first_seen: the time of the first look; last_sweep: the sweep that found it last.
CREATE TABLE strays (
    digest     TEXT    PRIMARY KEY,
    first_seen INTEGER NOT NULL,
    last_sweep INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
