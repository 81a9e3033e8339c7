-- What people look for in a manifest; nothing is decided by it. It stands beside the manifests, since what comes after a body in a row
-- is read by way of the body.
-- pull_bytes: its config and layers, each digest once; none of an index. platforms: of an index, [[digest, platform], …].
-- platform, created_at, labels: from the config of an image. config: the one that says them and was not read yet.
-- pushed_by: the name of who pushed it last.
CREATE TABLE manifest_facts (
    manifest_id INTEGER PRIMARY KEY REFERENCES manifests (id) ON DELETE CASCADE,
    kind        TEXT    NOT NULL,
    config_type TEXT,
    pull_bytes  INTEGER,
    platforms   TEXT,
    platform    TEXT,
    created_at  INTEGER,
    labels      TEXT,
    pushed_by   TEXT,
    config      TEXT
) STRICT;
CREATE INDEX manifest_facts_to_read ON manifest_facts (manifest_id) WHERE config IS NOT NULL;

-- Manifests that were stored before there were facts. They are read once, in the background.
CREATE TABLE manifests_without_facts (
    manifest_id INTEGER PRIMARY KEY REFERENCES manifests (id) ON DELETE CASCADE
) STRICT;
INSERT INTO manifests_without_facts (manifest_id) SELECT id FROM manifests;

-- Media types are the same in any letter case.
DROP INDEX manifests_by_subject_and_type;
CREATE INDEX manifests_by_subject_and_type ON manifests (repository_id, subject, artifact_type COLLATE NOCASE, digest)
    WHERE subject IS NOT NULL;
