-- Who this registry is; the markers in its directories say the same. At most one row.
-- starts: how many starts there were that write. marked: the last of them that all markers tell of, 0 before the first.
CREATE TABLE registry (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    id     TEXT    NOT NULL,
    starts INTEGER NOT NULL,
    marked INTEGER NOT NULL
) STRICT;
