-- Entries are found by the actor's name, the digest, the tag and the address, too. Those without one are in no index of it. Of a
-- digest the algorithm and 48 bits are enough to find the few entries that may have it.
CREATE INDEX audit_log_by_actor_name ON audit_log (actor_name, time, id);
CREATE INDEX audit_log_by_digest ON audit_log (substr(digest, 1, 19), time, id) WHERE digest <> '';
CREATE INDEX audit_log_by_tag ON audit_log (tag, time, id) WHERE tag <> '';
CREATE INDEX audit_log_by_address ON audit_log (address, time, id) WHERE address <> '';
