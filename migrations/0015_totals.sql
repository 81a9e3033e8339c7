-- What the whole registry has, kept by the transactions that change it, so that nobody scans for it. Always one row. In bytes:
-- manifest_bytes: of all manifests; blob_bytes: of every blob, once; linked_bytes: of every blob in each repository that shows it;
-- unlinked_bytes: of blobs that no repository shows, which wait for a sweep.
CREATE TABLE totals (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    repositories   INTEGER NOT NULL,
    tags           INTEGER NOT NULL,
    manifests      INTEGER NOT NULL,
    blobs          INTEGER NOT NULL,
    manifest_bytes INTEGER NOT NULL,
    blob_bytes     INTEGER NOT NULL,
    linked_bytes   INTEGER NOT NULL,
    unlinked_bytes INTEGER NOT NULL
) STRICT;
INSERT INTO totals VALUES (
    1,
    (SELECT count(*) FROM repositories),
    (SELECT coalesce(sum(tag_count), 0) FROM repositories),
    (SELECT coalesce(sum(manifest_count), 0) FROM repositories),
    (SELECT count(*) FROM blobs),
    (SELECT coalesce(sum(size), 0) FROM manifests),
    (SELECT coalesce(sum(size), 0) FROM blobs),
    (SELECT coalesce(sum(size * link_count), 0) FROM blobs),
    (SELECT coalesce(sum(size), 0) FROM blobs WHERE link_count = 0));

CREATE TRIGGER repositories_totalled AFTER INSERT ON repositories BEGIN
    UPDATE totals SET repositories = repositories + 1;
END;
CREATE TRIGGER repositories_gone_totalled AFTER DELETE ON repositories BEGIN
    UPDATE totals SET repositories = repositories - 1;
END;
CREATE TRIGGER tags_totalled AFTER INSERT ON tags BEGIN
    UPDATE totals SET tags = tags + 1;
END;
CREATE TRIGGER tags_gone_totalled AFTER DELETE ON tags BEGIN
    UPDATE totals SET tags = tags - 1;
END;
CREATE TRIGGER manifests_totalled AFTER INSERT ON manifests BEGIN
    UPDATE totals SET manifests = manifests + 1, manifest_bytes = manifest_bytes + new.size;
END;
CREATE TRIGGER manifests_gone_totalled AFTER DELETE ON manifests BEGIN
    UPDATE totals SET manifests = manifests - 1, manifest_bytes = manifest_bytes - old.size;
END;
-- A link counts in its blob's link_count, and through that here.
CREATE TRIGGER blobs_totalled AFTER INSERT ON blobs BEGIN
    UPDATE totals SET blobs = blobs + 1, blob_bytes = blob_bytes + new.size,
        linked_bytes = linked_bytes + new.size * new.link_count,
        unlinked_bytes = unlinked_bytes + new.size * (new.link_count = 0);
END;
CREATE TRIGGER blobs_changed_totalled AFTER UPDATE OF size, link_count ON blobs
    WHEN old.size <> new.size OR old.link_count <> new.link_count BEGIN
    UPDATE totals SET blob_bytes = blob_bytes + new.size - old.size,
        linked_bytes = linked_bytes + new.size * new.link_count - old.size * old.link_count,
        unlinked_bytes = unlinked_bytes + new.size * (new.link_count = 0) - old.size * (old.link_count = 0);
END;
CREATE TRIGGER blobs_gone_totalled AFTER DELETE ON blobs BEGIN
    UPDATE totals SET blobs = blobs - 1, blob_bytes = blob_bytes - old.size,
        linked_bytes = linked_bytes - old.size * old.link_count,
        unlinked_bytes = unlinked_bytes - old.size * (old.link_count = 0);
END;
