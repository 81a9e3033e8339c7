-- updated_at: when something was last pushed, a manifest or a tag. Of what was pushed before this was noted, when a tag was last set.
ALTER TABLE repositories ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
UPDATE repositories SET updated_at = max(created_at,
    coalesce((SELECT max(updated_at) FROM tags WHERE repository_id = repositories.id), 0));
CREATE INDEX repositories_by_time ON repositories (updated_at, name);
