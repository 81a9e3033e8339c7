-- What happened, who did it, from where. details: a JSON object without secrets.
CREATE TABLE audit_log (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    time       INTEGER NOT NULL,
    event      TEXT    NOT NULL,
    actor_id   TEXT    NOT NULL,
    actor_name TEXT    NOT NULL,
    repository TEXT    NOT NULL DEFAULT '',
    digest     TEXT    NOT NULL DEFAULT '',
    tag        TEXT    NOT NULL DEFAULT '',
    address    TEXT    NOT NULL DEFAULT '',
    request_id TEXT    NOT NULL DEFAULT '',
    details    TEXT    NOT NULL DEFAULT '{}'
) STRICT;
-- Every filter has an index in the order of the answer, newest first.
CREATE INDEX audit_log_by_time ON audit_log (time, id);
CREATE INDEX audit_log_by_event ON audit_log (event, id);
CREATE INDEX audit_log_by_actor ON audit_log (actor_id, id);
CREATE INDEX audit_log_by_repository ON audit_log (repository, id);

-- How many entries there are of each event, so that a total needs no scan.
CREATE TABLE audit_counts (
    event TEXT    PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER audit_log_inserted AFTER INSERT ON audit_log BEGIN
    INSERT INTO audit_counts (event, count) VALUES (new.event, 1)
        ON CONFLICT (event) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER audit_log_deleted AFTER DELETE ON audit_log BEGIN
    UPDATE audit_counts SET count = count - 1 WHERE event = old.event;
END;

-- Robot tokens have an id, a name and roles of their own; those of a login have none.
ALTER TABLE tokens ADD COLUMN id TEXT;
ALTER TABLE tokens ADD COLUMN name TEXT;
ALTER TABLE tokens ADD COLUMN roles TEXT;
ALTER TABLE tokens ADD COLUMN last_used_at INTEGER;
CREATE UNIQUE INDEX tokens_by_id ON tokens (id) WHERE id IS NOT NULL;

-- Sizes and counts of repositories, kept by the transactions that change them. In bytes:
-- logical: the repository's manifests and every blob it shows; exclusive: of these blobs those no other repository shows.
ALTER TABLE repositories ADD COLUMN tag_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE repositories ADD COLUMN manifest_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE repositories ADD COLUMN blob_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE repositories ADD COLUMN logical_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE repositories ADD COLUMN exclusive_bytes INTEGER NOT NULL DEFAULT 0;
-- In how many repositories a blob is visible.
ALTER TABLE blobs ADD COLUMN link_count INTEGER NOT NULL DEFAULT 0;

UPDATE blobs SET link_count = (SELECT count(*) FROM repository_blobs WHERE blob_id = blobs.id);
UPDATE repositories SET
    tag_count = (SELECT count(*) FROM tags WHERE repository_id = repositories.id),
    manifest_count = (SELECT count(*) FROM manifests WHERE repository_id = repositories.id),
    blob_count = (SELECT count(*) FROM repository_blobs WHERE repository_id = repositories.id),
    logical_bytes = (SELECT coalesce(sum(size), 0) FROM manifests WHERE repository_id = repositories.id)
        + (SELECT coalesce(sum(blobs.size), 0) FROM repository_blobs
             JOIN blobs ON blobs.id = repository_blobs.blob_id
            WHERE repository_id = repositories.id),
    exclusive_bytes = (SELECT coalesce(sum(size), 0) FROM manifests WHERE repository_id = repositories.id)
        + (SELECT coalesce(sum(blobs.size), 0) FROM repository_blobs
             JOIN blobs ON blobs.id = repository_blobs.blob_id AND blobs.link_count = 1
            WHERE repository_id = repositories.id);

CREATE TRIGGER tags_inserted AFTER INSERT ON tags BEGIN
    UPDATE repositories SET tag_count = tag_count + 1 WHERE id = new.repository_id;
END;
CREATE TRIGGER tags_deleted AFTER DELETE ON tags BEGIN
    UPDATE repositories SET tag_count = tag_count - 1 WHERE id = old.repository_id;
END;
CREATE TRIGGER manifests_inserted AFTER INSERT ON manifests BEGIN
    UPDATE repositories SET manifest_count = manifest_count + 1, logical_bytes = logical_bytes + new.size,
        exclusive_bytes = exclusive_bytes + new.size WHERE id = new.repository_id;
END;
CREATE TRIGGER manifests_deleted AFTER DELETE ON manifests BEGIN
    UPDATE repositories SET manifest_count = manifest_count - 1, logical_bytes = logical_bytes - old.size,
        exclusive_bytes = exclusive_bytes - old.size WHERE id = old.repository_id;
END;
-- The second repository that shows a blob takes it from the first one's exclusive bytes; the last one left gets it back.
CREATE TRIGGER repository_blobs_inserted AFTER INSERT ON repository_blobs BEGIN
    UPDATE repositories SET blob_count = blob_count + 1,
        logical_bytes = logical_bytes + (SELECT size FROM blobs WHERE id = new.blob_id)
        WHERE id = new.repository_id;
    UPDATE repositories SET exclusive_bytes = exclusive_bytes + (SELECT size FROM blobs WHERE id = new.blob_id)
        WHERE id = new.repository_id AND (SELECT link_count FROM blobs WHERE id = new.blob_id) = 0;
    UPDATE repositories SET exclusive_bytes = exclusive_bytes - (SELECT size FROM blobs WHERE id = new.blob_id)
        WHERE (SELECT link_count FROM blobs WHERE id = new.blob_id) = 1
          AND id = (SELECT repository_id FROM repository_blobs
                     WHERE blob_id = new.blob_id AND repository_id <> new.repository_id);
    UPDATE blobs SET link_count = link_count + 1 WHERE id = new.blob_id;
END;
CREATE TRIGGER repository_blobs_deleted AFTER DELETE ON repository_blobs BEGIN
    UPDATE blobs SET link_count = link_count - 1 WHERE id = old.blob_id;
    UPDATE repositories SET blob_count = blob_count - 1,
        logical_bytes = logical_bytes - (SELECT size FROM blobs WHERE id = old.blob_id)
        WHERE id = old.repository_id;
    UPDATE repositories SET exclusive_bytes = exclusive_bytes - (SELECT size FROM blobs WHERE id = old.blob_id)
        WHERE id = old.repository_id AND (SELECT link_count FROM blobs WHERE id = old.blob_id) = 0;
    UPDATE repositories SET exclusive_bytes = exclusive_bytes + (SELECT size FROM blobs WHERE id = old.blob_id)
        WHERE (SELECT link_count FROM blobs WHERE id = old.blob_id) = 1
          AND id = (SELECT repository_id FROM repository_blobs WHERE blob_id = old.blob_id);
END;
