CREATE TABLE whimbrel_job (uuid TEXT PRIMARY KEY, spec TEXT NOT NULL, tables TEXT NOT NULL, epoch INTEGER NOT NULL, token TEXT NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE whimbrel_watermark (job TEXT, feed TEXT, lane INTEGER, lanes INTEGER NOT NULL, hash_version INTEGER NOT NULL, epoch INTEGER NOT NULL, batch INTEGER NOT NULL, from_pos BLOB NOT NULL, to_pos BLOB NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (job, feed, lane)) WITHOUT ROWID;
CREATE TABLE whimbrel_rowid (job TEXT, name TEXT);
CREATE TABLE whimbrel_columns (job TEXT, name TEXT, columns TEXT NOT NULL, PRIMARY KEY (job, name)) WITHOUT ROWID;
