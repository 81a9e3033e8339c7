-- What the collector goes by. Each count is kept by the transaction that changes what it counts, so that garbage is
-- found through an index and never by a scan. A count is only where to look: before anything goes, the references
-- themselves are asked, in the same transaction.

-- How many references manifests of this repository have to the blob: those not dropped, and children of that digest.
ALTER TABLE repository_blobs ADD COLUMN reference_count INTEGER NOT NULL DEFAULT 0;
UPDATE repository_blobs SET reference_count =
    (SELECT count(*) FROM manifest_blobs
      WHERE manifest_blobs.repository_id = repository_blobs.repository_id AND dropped = 0
        AND manifest_blobs.digest = (SELECT digest FROM blobs WHERE id = blob_id))
  + (SELECT count(*) FROM manifest_children
      WHERE manifest_children.repository_id = repository_blobs.repository_id
        AND manifest_children.digest = (SELECT digest FROM blobs WHERE id = blob_id));
CREATE INDEX repository_blobs_unreferenced ON repository_blobs (kept_until, repository_id, blob_id)
    WHERE reference_count = 0;

CREATE TRIGGER repository_blobs_counted AFTER INSERT ON repository_blobs BEGIN
    UPDATE repository_blobs SET reference_count =
        (SELECT count(*) FROM manifest_blobs
          WHERE repository_id = new.repository_id AND dropped = 0
            AND digest = (SELECT digest FROM blobs WHERE id = new.blob_id))
      + (SELECT count(*) FROM manifest_children
          WHERE repository_id = new.repository_id
            AND digest = (SELECT digest FROM blobs WHERE id = new.blob_id))
     WHERE repository_id = new.repository_id AND blob_id = new.blob_id;
END;
CREATE TRIGGER manifest_blobs_inserted AFTER INSERT ON manifest_blobs WHEN new.dropped = 0 BEGIN
    UPDATE repository_blobs SET reference_count = reference_count + 1
     WHERE repository_id = new.repository_id AND blob_id = (SELECT id FROM blobs WHERE digest = new.digest);
END;
CREATE TRIGGER manifest_blobs_deleted AFTER DELETE ON manifest_blobs WHEN old.dropped = 0 BEGIN
    UPDATE repository_blobs SET reference_count = reference_count - 1
     WHERE repository_id = old.repository_id AND blob_id = (SELECT id FROM blobs WHERE digest = old.digest);
END;
CREATE TRIGGER manifest_blobs_restored AFTER UPDATE OF dropped ON manifest_blobs
    WHEN old.dropped = 1 AND new.dropped = 0 BEGIN
    UPDATE repository_blobs SET reference_count = reference_count + 1
     WHERE repository_id = new.repository_id AND blob_id = (SELECT id FROM blobs WHERE digest = new.digest);
END;

-- Of a blob that no repository shows: until when its bytes are kept, and which repository showed it last.
ALTER TABLE blobs ADD COLUMN kept_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE blobs ADD COLUMN last_repository TEXT;
CREATE INDEX blobs_unlinked ON blobs (kept_until, id) WHERE link_count = 0;
CREATE TRIGGER repository_blobs_remembered AFTER DELETE ON repository_blobs BEGIN
    UPDATE blobs SET kept_until = max(kept_until, old.kept_until),
        last_repository = (SELECT name FROM repositories WHERE id = old.repository_id)
     WHERE id = old.blob_id;
END;

-- What holds a manifest when no tag does.
-- untagged_since: when the last tag went, or when it was pushed without one; NULL while there is a tag.
-- parent_count: how many indexes of the repository name it as a child.
-- subject_state: 0 it has no subject; 1 its subject never came; 2 its subject is here; 3 its subject was here and is gone.
CREATE TABLE manifest_ties (
    manifest_id    INTEGER PRIMARY KEY REFERENCES manifests (id) ON DELETE CASCADE,
    untagged_since INTEGER,
    parent_count   INTEGER NOT NULL,
    subject_state  INTEGER NOT NULL CHECK (subject_state IN (0, 1, 2, 3))
) STRICT;
CREATE INDEX manifest_ties_loose ON manifest_ties (subject_state, untagged_since, manifest_id)
    WHERE untagged_since IS NOT NULL AND parent_count = 0;
INSERT INTO manifest_ties (manifest_id, untagged_since, parent_count, subject_state)
    SELECT id,
           CASE WHEN EXISTS (SELECT 1 FROM tags WHERE tags.manifest_id = manifests.id) THEN NULL ELSE pushed_at END,
           (SELECT count(*) FROM manifest_children
             WHERE manifest_children.repository_id = manifests.repository_id
               AND manifest_children.digest = manifests.digest),
           CASE WHEN subject IS NULL THEN 0
                WHEN EXISTS (SELECT 1 FROM manifests AS subjects
                              WHERE subjects.repository_id = manifests.repository_id
                                AND subjects.digest = manifests.subject) THEN 2
                ELSE 1 END
      FROM manifests;

CREATE TRIGGER manifests_tied AFTER INSERT ON manifests BEGIN
    INSERT INTO manifest_ties (manifest_id, untagged_since, parent_count, subject_state) VALUES (
        new.id,
        new.pushed_at,
        (SELECT count(*) FROM manifest_children WHERE repository_id = new.repository_id AND digest = new.digest),
        CASE WHEN new.subject IS NULL THEN 0
             WHEN EXISTS (SELECT 1 FROM manifests WHERE repository_id = new.repository_id AND digest = new.subject) THEN 2
             ELSE 1 END);
    UPDATE manifest_ties SET subject_state = 2
     WHERE manifest_id IN (SELECT id FROM manifests WHERE repository_id = new.repository_id AND subject = new.digest);
END;
-- Pushed again: a sign of life.
CREATE TRIGGER manifests_pushed_again AFTER UPDATE OF pushed_at ON manifests BEGIN
    UPDATE manifest_ties SET untagged_since = new.pushed_at
     WHERE manifest_id = new.id AND untagged_since IS NOT NULL;
END;
CREATE TRIGGER manifests_gone AFTER DELETE ON manifests BEGIN
    UPDATE manifest_ties SET subject_state = 3
     WHERE subject_state = 2
       AND manifest_id IN (SELECT id FROM manifests WHERE repository_id = old.repository_id AND subject = old.digest);
END;
CREATE TRIGGER tags_set AFTER INSERT ON tags BEGIN
    UPDATE manifest_ties SET untagged_since = NULL WHERE manifest_id = new.manifest_id;
END;
CREATE TRIGGER tags_moved AFTER UPDATE OF manifest_id ON tags WHEN old.manifest_id <> new.manifest_id BEGIN
    UPDATE manifest_ties SET untagged_since = NULL WHERE manifest_id = new.manifest_id;
    UPDATE manifest_ties SET untagged_since = new.updated_at
     WHERE manifest_id = old.manifest_id
       AND NOT EXISTS (SELECT 1 FROM tags WHERE manifest_id = old.manifest_id);
END;
CREATE TRIGGER manifest_children_inserted AFTER INSERT ON manifest_children BEGIN
    UPDATE manifest_ties SET parent_count = parent_count + 1
     WHERE manifest_id = (SELECT id FROM manifests WHERE repository_id = new.repository_id AND digest = new.digest);
    UPDATE repository_blobs SET reference_count = reference_count + 1
     WHERE repository_id = new.repository_id AND blob_id = (SELECT id FROM blobs WHERE digest = new.digest);
END;
CREATE TRIGGER manifest_children_deleted AFTER DELETE ON manifest_children BEGIN
    UPDATE manifest_ties SET parent_count = parent_count - 1
     WHERE manifest_id = (SELECT id FROM manifests WHERE repository_id = old.repository_id AND digest = old.digest);
    UPDATE repository_blobs SET reference_count = reference_count - 1
     WHERE repository_id = old.repository_id AND blob_id = (SELECT id FROM blobs WHERE digest = old.digest);
END;

-- Past sweeps with their reports, JSON, and what the last dry runs found.
CREATE TABLE sweeps (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    report      TEXT    NOT NULL
) STRICT;
-- kind: manifest, blob, upload or stray. name: a digest or an upload's id.
CREATE TABLE sweep_items (
    sweep_id   INTEGER NOT NULL REFERENCES sweeps (id) ON DELETE CASCADE,
    number     INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    repository TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    bytes      INTEGER NOT NULL,
    PRIMARY KEY (sweep_id, number)
) STRICT, WITHOUT ROWID;
