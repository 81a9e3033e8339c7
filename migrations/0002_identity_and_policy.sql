-- Accounts of the embedded identity provider. roles: a JSON array.
CREATE TABLE users (
    id            TEXT    PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    account_type  TEXT    NOT NULL CHECK (account_type IN ('human', 'system')),
    password_hash TEXT,
    roles         TEXT    NOT NULL,
    disabled      INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT;

-- Tokens of the embedded provider, by the SHA-256 of what the client holds.
-- A lapsed or revoked token stays known for a while, so that it can be told from one that never was.
CREATE TABLE tokens (
    hash       BLOB    PRIMARY KEY,
    user_id    TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_expiry ON tokens (expires_at);
CREATE INDEX tokens_by_user ON tokens (user_id);

-- roles, account_types, actions, repositories: JSON arrays; empty means any.
CREATE TABLE policy_rules (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    priority      INTEGER NOT NULL CHECK (priority >= 1),
    description   TEXT    NOT NULL DEFAULT '',
    effect        TEXT    NOT NULL CHECK (effect IN ('allow', 'deny')),
    roles         TEXT    NOT NULL DEFAULT '[]',
    account_types TEXT    NOT NULL DEFAULT '[]',
    subject_uuid  TEXT    NOT NULL DEFAULT '',
    actions       TEXT    NOT NULL DEFAULT '[]',
    repositories  TEXT    NOT NULL DEFAULT '[]',
    enabled       INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    created_by    TEXT    NOT NULL DEFAULT '',
    created_at    INTEGER NOT NULL DEFAULT 0,
    updated_at    INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Random values of this installation, such as the key that signs anonymous tokens.
CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
