-- When the login was that a renewed token comes from; none for a token that was not renewed, which was made by it.
ALTER TABLE tokens ADD COLUMN logged_in_at INTEGER;
