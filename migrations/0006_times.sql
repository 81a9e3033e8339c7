-- The newest time that a run of the registry noted; the next one holds its clock against it.
CREATE TABLE noted_time (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    time INTEGER NOT NULL
) STRICT;

-- Entries are found and ordered by their time, then their number: each index ends with both.
DROP INDEX audit_log_by_event;
DROP INDEX audit_log_by_actor;
DROP INDEX audit_log_by_repository;
CREATE INDEX audit_log_by_event ON audit_log (event, time, id);
CREATE INDEX audit_log_by_actor ON audit_log (actor_id, time, id);
CREATE INDEX audit_log_by_repository ON audit_log (repository, time, id);
