-- How often it happened: what anybody can cause is one entry for each principal, network and minute. fold: what makes two such
-- entries one; none for what is an entry each time.
ALTER TABLE audit_log ADD COLUMN count INTEGER NOT NULL DEFAULT 1;
ALTER TABLE audit_log ADD COLUMN fold TEXT;
CREATE UNIQUE INDEX audit_log_by_fold ON audit_log (fold) WHERE fold IS NOT NULL;

-- The tokens of an account's logins by age, of which the oldest goes when there are too many; and its robot tokens.
CREATE INDEX tokens_of_logins ON tokens (user_id, created_at) WHERE id IS NULL;
CREATE INDEX tokens_of_robots ON tokens (user_id, expires_at) WHERE id IS NOT NULL AND revoked_at IS NULL;
