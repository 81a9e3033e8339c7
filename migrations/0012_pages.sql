-- A repository's tags by when they were set, and by name where that is the same.
CREATE INDEX tags_by_time ON tags (repository_id, updated_at, name, manifest_id);
