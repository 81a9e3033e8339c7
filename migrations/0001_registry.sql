-- Times are milliseconds since the Unix epoch. Digests are text, "sha256:…" or "sha512:…".
-- Text compares by bytes, which is the order of every listing.

CREATE TABLE repositories (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

-- One row for each blob of the whole registry; its file is there before the row is.
-- state: 0 present; 1 condemned by the collector, absent to every look-up; 2 found bad, absent until pushed again.
CREATE TABLE blobs (
    id         INTEGER PRIMARY KEY,
    digest     TEXT    NOT NULL UNIQUE,
    size       INTEGER NOT NULL CHECK (size >= 0),
    state      INTEGER NOT NULL DEFAULT 0 CHECK (state IN (0, 1, 2)),
    created_at INTEGER NOT NULL
) STRICT;

-- In which repositories a blob is visible, and until when it is kept there although nothing refers to it.
CREATE TABLE repository_blobs (
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    blob_id       INTEGER NOT NULL REFERENCES blobs (id),
    kept_until    INTEGER NOT NULL,
    PRIMARY KEY (repository_id, blob_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX repository_blobs_by_blob ON repository_blobs (blob_id);

CREATE TABLE manifests (
    id            INTEGER PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    digest        TEXT    NOT NULL,
    media_type    TEXT    NOT NULL,
    artifact_type TEXT,
    subject       TEXT,
    size          INTEGER NOT NULL,
    pushed_at     INTEGER NOT NULL,
    annotations   TEXT,
    body          BLOB    NOT NULL,
    UNIQUE (repository_id, digest)
) STRICT;
CREATE INDEX manifests_by_subject ON manifests (repository_id, subject, digest)
    WHERE subject IS NOT NULL;
CREATE INDEX manifests_by_subject_and_type ON manifests (repository_id, subject, artifact_type, digest)
    WHERE subject IS NOT NULL;

-- The blobs that a manifest needs. By digest, since a sparse manifest may need what is not here.
-- dropped: the blob was deleted from the repository by name; undone when it is pushed or mounted there again.
CREATE TABLE manifest_blobs (
    manifest_id   INTEGER NOT NULL REFERENCES manifests (id) ON DELETE CASCADE,
    digest        TEXT    NOT NULL,
    repository_id INTEGER NOT NULL,
    dropped       INTEGER NOT NULL DEFAULT 0 CHECK (dropped IN (0, 1)),
    PRIMARY KEY (manifest_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_blobs_by_digest ON manifest_blobs (repository_id, digest);

-- The manifests that an index needs, likewise by digest.
CREATE TABLE manifest_children (
    manifest_id   INTEGER NOT NULL REFERENCES manifests (id) ON DELETE CASCADE,
    digest        TEXT    NOT NULL,
    repository_id INTEGER NOT NULL,
    PRIMARY KEY (manifest_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_children_by_digest ON manifest_children (repository_id, digest);

CREATE TABLE tags (
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    name          TEXT    NOT NULL,
    manifest_id   INTEGER NOT NULL REFERENCES manifests (id) ON DELETE CASCADE,
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (repository_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_manifest ON tags (manifest_id);

-- Blobs on their way in. bytes: how many are durable and acknowledged.
-- owner: the principal as JSON; token_hash: of the token it began with.
CREATE TABLE uploads (
    id             TEXT    PRIMARY KEY,
    repository     TEXT    NOT NULL,
    algorithm      TEXT    NOT NULL,
    bytes          INTEGER NOT NULL,
    owner          TEXT    NOT NULL,
    token_hash     BLOB,
    started_at     INTEGER NOT NULL,
    last_active_at INTEGER NOT NULL
) STRICT;
CREATE INDEX uploads_by_activity ON uploads (last_active_at);
