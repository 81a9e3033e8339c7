-- What a manifest refers to, whatever it is: each digest in the document once. A digest may be that of a blob, of a manifest of the
-- repository, of both, or of nothing that is here.
-- holds: whether a manifest of that digest is held by it; only what is the subject and nothing else is not, since a referrer is held
-- by its subject. A blob is held in any case.
-- dropped: the blob was deleted from the repository by name; undone when it is pushed or mounted there again.
CREATE TABLE manifest_references (
    manifest_id   INTEGER NOT NULL REFERENCES manifests (id) ON DELETE CASCADE,
    digest        TEXT    NOT NULL,
    repository_id INTEGER NOT NULL,
    holds         INTEGER NOT NULL CHECK (holds IN (0, 1)),
    dropped       INTEGER NOT NULL DEFAULT 0 CHECK (dropped IN (0, 1)),
    PRIMARY KEY (manifest_id, digest)
) STRICT, WITHOUT ROWID;
INSERT INTO manifest_references (manifest_id, digest, repository_id, holds, dropped)
    SELECT manifest_id, digest, repository_id, 1, min(dropped)
      FROM (SELECT manifest_id, digest, repository_id, dropped FROM manifest_blobs
            UNION ALL
            SELECT manifest_id, digest, repository_id, 0 FROM manifest_children)
     GROUP BY manifest_id, digest;
CREATE INDEX manifest_references_by_digest ON manifest_references (repository_id, digest);
DROP TRIGGER repository_blobs_counted;
DROP TRIGGER manifests_tied;
DROP TABLE manifest_blobs;
DROP TABLE manifest_children;

-- Manifests that were stored when fewer things counted as references. Each is read again, once, before a sweep takes anything.
CREATE TABLE unread_manifests (
    manifest_id INTEGER PRIMARY KEY REFERENCES manifests (id) ON DELETE CASCADE
) STRICT;
INSERT INTO unread_manifests (manifest_id) SELECT id FROM manifests;

-- reference_count: how many manifests of this repository refer to the blob, but for references that are dropped.
UPDATE repository_blobs SET reference_count =
    (SELECT count(*) FROM manifest_references
      WHERE manifest_references.repository_id = repository_blobs.repository_id AND dropped = 0
        AND manifest_references.digest = (SELECT digest FROM blobs WHERE id = blob_id))
 WHERE reference_count <>
    (SELECT count(*) FROM manifest_references
      WHERE manifest_references.repository_id = repository_blobs.repository_id AND dropped = 0
        AND manifest_references.digest = (SELECT digest FROM blobs WHERE id = blob_id));
CREATE TRIGGER repository_blobs_counted AFTER INSERT ON repository_blobs BEGIN
    UPDATE repository_blobs SET reference_count =
        (SELECT count(*) FROM manifest_references
          WHERE repository_id = new.repository_id AND dropped = 0
            AND digest = (SELECT digest FROM blobs WHERE id = new.blob_id))
     WHERE repository_id = new.repository_id AND blob_id = new.blob_id;
END;

-- parent_count: how many manifests of the repository hold it.
-- kept_until: until when it stays whatever else holds it: somebody who may push was told that it is here, it was pushed as a
-- referrer, or what held it went.
ALTER TABLE manifest_ties ADD COLUMN kept_until INTEGER NOT NULL DEFAULT 0;
DROP INDEX manifest_ties_loose;
CREATE INDEX manifest_ties_loose ON manifest_ties (subject_state, untagged_since, kept_until, manifest_id)
    WHERE untagged_since IS NOT NULL AND parent_count = 0;
CREATE INDEX manifest_ties_kept ON manifest_ties (kept_until) WHERE kept_until > 0;
UPDATE manifest_ties SET parent_count =
    (SELECT count(*) FROM manifests
       JOIN manifest_references ON manifest_references.repository_id = manifests.repository_id
                               AND manifest_references.digest = manifests.digest
      WHERE manifests.id = manifest_ties.manifest_id)
 WHERE parent_count <>
    (SELECT count(*) FROM manifests
       JOIN manifest_references ON manifest_references.repository_id = manifests.repository_id
                               AND manifest_references.digest = manifests.digest
      WHERE manifests.id = manifest_ties.manifest_id);
CREATE TRIGGER manifests_tied AFTER INSERT ON manifests BEGIN
    INSERT INTO manifest_ties (manifest_id, untagged_since, parent_count, subject_state) VALUES (
        new.id,
        new.pushed_at,
        (SELECT count(*) FROM manifest_references
          WHERE repository_id = new.repository_id AND digest = new.digest AND holds = 1),
        CASE WHEN new.subject IS NULL THEN 0
             WHEN EXISTS (SELECT 1 FROM manifests WHERE repository_id = new.repository_id AND digest = new.subject) THEN 2
             ELSE 1 END);
    UPDATE manifest_ties SET subject_state = 2
     WHERE manifest_id IN (SELECT id FROM manifests WHERE repository_id = new.repository_id AND subject = new.digest);
END;

CREATE TRIGGER manifest_references_inserted AFTER INSERT ON manifest_references BEGIN
    UPDATE manifest_ties SET parent_count = parent_count + 1
     WHERE new.holds = 1
       AND manifest_id = (SELECT id FROM manifests WHERE repository_id = new.repository_id AND digest = new.digest);
    UPDATE repository_blobs SET reference_count = reference_count + 1
     WHERE new.dropped = 0
       AND repository_id = new.repository_id AND blob_id = (SELECT id FROM blobs WHERE digest = new.digest);
END;
CREATE TRIGGER manifest_references_deleted AFTER DELETE ON manifest_references BEGIN
    UPDATE manifest_ties SET parent_count = parent_count - 1
     WHERE old.holds = 1
       AND manifest_id = (SELECT id FROM manifests WHERE repository_id = old.repository_id AND digest = old.digest);
    UPDATE repository_blobs SET reference_count = reference_count - 1
     WHERE old.dropped = 0
       AND repository_id = old.repository_id AND blob_id = (SELECT id FROM blobs WHERE digest = old.digest);
END;
CREATE TRIGGER manifest_references_restored AFTER UPDATE OF dropped ON manifest_references
    WHEN old.dropped = 1 AND new.dropped = 0 BEGIN
    UPDATE repository_blobs SET reference_count = reference_count + 1
     WHERE repository_id = new.repository_id AND blob_id = (SELECT id FROM blobs WHERE digest = new.digest);
END;
