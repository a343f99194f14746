CREATE TABLE whimbrel_source (format INTEGER, token BLOB, next_number INTEGER);
CREATE TABLE whimbrel_log (seq INTEGER PRIMARY KEY, tbl INTEGER, at REAL DEFAULT (julianday('now')), origin TEXT, k1);
CREATE TABLE whimbrel_table (name TEXT PRIMARY KEY COLLATE NOCASE, number INTEGER, version INTEGER, gone INTEGER, shape TEXT);
CREATE TABLE whimbrel_follow (job TEXT, name TEXT COLLATE NOCASE, acknowledged INTEGER, PRIMARY KEY (job, name));
CREATE TABLE whimbrel_change (seq INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, kind TEXT, shape TEXT);
CREATE TABLE whimbrel_vacuum (note TEXT);
