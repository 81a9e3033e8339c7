-- A list of manifests goes by what holds each and by time, so both stand in one row, which an index finds.
-- pushed_at: as the manifest's.
-- state: what holds it, the first that does: 0 a tag; 1 another manifest; 2 its subject, which is here or never came; 3 nothing.
ALTER TABLE manifest_ties ADD COLUMN repository_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE manifest_ties ADD COLUMN pushed_at INTEGER NOT NULL DEFAULT 0;
UPDATE manifest_ties SET (repository_id, pushed_at) =
    (SELECT repository_id, pushed_at FROM manifests WHERE id = manifest_id);
ALTER TABLE manifest_ties ADD COLUMN state INTEGER NOT NULL GENERATED ALWAYS AS (
    CASE WHEN untagged_since IS NULL THEN 0
         WHEN parent_count > 0 THEN 1
         WHEN subject_state IN (1, 2) THEN 2
         ELSE 3 END) VIRTUAL;
CREATE INDEX manifest_ties_by_time ON manifest_ties (repository_id, pushed_at, manifest_id);
CREATE INDEX manifest_ties_by_state ON manifest_ties (repository_id, state, pushed_at, manifest_id);

DROP TRIGGER manifests_tied;
CREATE TRIGGER manifests_tied AFTER INSERT ON manifests BEGIN
    INSERT INTO manifest_ties (manifest_id, untagged_since, parent_count, subject_state, repository_id, pushed_at) VALUES (
        new.id,
        new.pushed_at,
        (SELECT count(*) FROM manifest_references
          WHERE repository_id = new.repository_id AND digest = new.digest AND holds = 1),
        CASE WHEN new.subject IS NULL THEN 0
             WHEN EXISTS (SELECT 1 FROM manifests WHERE repository_id = new.repository_id AND digest = new.subject) THEN 2
             ELSE 1 END,
        new.repository_id,
        new.pushed_at);
    UPDATE manifest_ties SET subject_state = 2
     WHERE manifest_id IN (SELECT id FROM manifests WHERE repository_id = new.repository_id AND subject = new.digest);
END;
-- Pushed again: a sign of life.
DROP TRIGGER manifests_pushed_again;
CREATE TRIGGER manifests_pushed_again AFTER UPDATE OF pushed_at ON manifests BEGIN
    UPDATE manifest_ties SET pushed_at = new.pushed_at,
           untagged_since = CASE WHEN untagged_since IS NULL THEN NULL ELSE new.pushed_at END
     WHERE manifest_id = new.id;
END;
