"""The schema of the sandbox's SQLite file, as migration steps: an older file gets the remaining ones.

A released step is never changed. All times are seconds since the epoch, all sizes bytes.
"""

from __future__ import annotations

from typing import Final

_FILES = """
CREATE TABLE authors (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    full_name TEXT NOT NULL,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    orcid_id TEXT NOT NULL
);
CREATE TABLE items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    status TEXT NOT NULL,            -- draft, private
    created REAL NOT NULL,
    modified REAL NOT NULL,
    metadata TEXT NOT NULL           -- a JSON object of the fields as items.body makes them
);
CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    item_id INTEGER NOT NULL REFERENCES items(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    supplied_md5 TEXT NOT NULL,      -- '' where none was supplied
    folder_path TEXT NOT NULL,
    link TEXT,                       -- not null: a linked file, without upload and bytes
    token TEXT NOT NULL UNIQUE,      -- names the upload
    blob TEXT,                       -- the name of the bytes in DIR/files
    created REAL NOT NULL,
    hidden_until REAL NOT NULL,
    hidden_gets INTEGER NOT NULL,    -- GETs still to be answered 404
    aborted INTEGER NOT NULL DEFAULT 0, -- 1: the upload is ABORTED, 2: it is 404
    completed REAL,
    md5 TEXT,                        -- of the stored bytes, once computed
    hashed REAL
);
CREATE INDEX files_of_item ON files(item_id, id);
CREATE TABLE parts (
    file_id INTEGER NOT NULL REFERENCES files(id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,          -- inclusive
    complete INTEGER NOT NULL DEFAULT 0,
    dirty INTEGER NOT NULL DEFAULT 0, -- its region of the bytes may hold something
    PRIMARY KEY (file_id, number)
) WITHOUT ROWID;
INSERT INTO sqlite_sequence(name, seq) VALUES ('items', 30000000), ('files', 60000000), ('authors', 11000000);
"""

_DATASETS = """
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    author_id INTEGER NOT NULL REFERENCES authors(id),
    email TEXT NOT NULL UNIQUE COLLATE NOCASE,
    institution_user_id TEXT NOT NULL,
    symplectic_user_id TEXT NOT NULL,
    group_id INTEGER NOT NULL,
    quota INTEGER,                   -- null: what the sandbox was started with
    active INTEGER NOT NULL,
    created REAL NOT NULL,
    modified REAL NOT NULL,
    initiated INTEGER NOT NULL DEFAULT 0, -- bytes of files that are in no public version; kept by triggers, as these:
    completed INTEGER NOT NULL DEFAULT 0, -- those of them that were completed
    public INTEGER NOT NULL DEFAULT 0     -- bytes of files that are in a public version
);
INSERT INTO authors (full_name, first_name, last_name, orcid_id)
    SELECT 'Sandbox Owner', 'Sandbox', 'Owner', '' WHERE NOT EXISTS (SELECT 1 FROM authors);
INSERT INTO accounts
    (id, author_id, email, institution_user_id, symplectic_user_id, group_id, active, created, modified)
    VALUES (2000001, (SELECT MIN(id) FROM authors), 'owner@sandbox.invalid', '', '', 0, 1, 1430142434, 1548083735);

ALTER TABLE authors ADD COLUMN account_id INTEGER;                    -- null: an author without an account
UPDATE authors SET account_id = 2000001 WHERE id = (SELECT MIN(id) FROM authors);
CREATE INDEX authors_by_orcid ON authors(orcid_id);

ALTER TABLE items ADD COLUMN account_id INTEGER NOT NULL DEFAULT 2000001;
ALTER TABLE items ADD COLUMN project_id INTEGER;
ALTER TABLE items ADD COLUMN version INTEGER NOT NULL DEFAULT 0;      -- of the last publication, 0 for none
ALTER TABLE items ADD COLUMN published REAL;                          -- when the first became public, or will
ALTER TABLE items ADD COLUMN linked INTEGER NOT NULL DEFAULT 0;       -- how many files; kept by triggers
ALTER TABLE items ADD COLUMN uploaded INTEGER NOT NULL DEFAULT 0;
CREATE INDEX items_of_account ON items(account_id, id);
CREATE INDEX items_of_project ON items(project_id, id) WHERE project_id IS NOT NULL;

ALTER TABLE files ADD COLUMN attached INTEGER NOT NULL DEFAULT 0;     -- it is in a public version
DROP INDEX files_of_item;
CREATE INDEX files_of_item ON files(item_id, id, hidden_gets, hidden_until, size);
UPDATE items SET linked = (SELECT COUNT(link) FROM files WHERE item_id = items.id),
    uploaded = (SELECT COUNT(*) - COUNT(link) FROM files WHERE item_id = items.id);
UPDATE accounts SET initiated = (SELECT COALESCE(SUM(size), 0) FROM files),
    completed = (SELECT COALESCE(SUM(size), 0) FROM files WHERE completed IS NOT NULL);
CREATE TRIGGER file_made AFTER INSERT ON files BEGIN
    UPDATE items SET linked = linked + (new.link IS NOT NULL), uploaded = uploaded + (new.link IS NULL)
        WHERE id = new.item_id;
    UPDATE accounts SET initiated = initiated + new.size,
        completed = completed + iif(new.completed IS NULL, 0, new.size)
        WHERE id = (SELECT account_id FROM items WHERE id = new.item_id);
END;
CREATE TRIGGER file_completed AFTER UPDATE OF completed ON files
    WHEN old.completed IS NULL AND new.completed IS NOT NULL BEGIN
    UPDATE accounts SET completed = completed + new.size
        WHERE id = (SELECT account_id FROM items WHERE id = new.item_id);
END;
CREATE TRIGGER file_published AFTER UPDATE OF attached ON files WHEN new.attached AND NOT old.attached BEGIN
    UPDATE accounts SET initiated = initiated - new.size, completed = completed - new.size, public = public + new.size
        WHERE id = (SELECT account_id FROM items WHERE id = new.item_id);
END;
CREATE TRIGGER file_removed AFTER DELETE ON files BEGIN
    UPDATE items SET linked = linked - (old.link IS NOT NULL), uploaded = uploaded - (old.link IS NULL)
        WHERE id = old.item_id;
    UPDATE accounts SET initiated = initiated - old.size,
        completed = completed - iif(old.completed IS NULL, 0, old.size)
        WHERE NOT old.attached AND id = (SELECT account_id FROM items WHERE id = old.item_id);
END;

CREATE TABLE versions (
    item_id INTEGER NOT NULL REFERENCES items(id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    visible REAL,                    -- from when on; null: not before an embargo is lifted
    metadata TEXT NOT NULL,          -- as the item's was
    authors TEXT NOT NULL,           -- a JSON list of the authors' objects
    size INTEGER NOT NULL,
    thumb INTEGER,                   -- the file that makes the thumbnail
    PRIMARY KEY (item_id, number)
);
CREATE INDEX versions_by_time ON versions(visible);
CREATE TABLE published_files (       -- what a version holds: never changed, and kept when the item loses the file
    item_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    file_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    supplied_md5 TEXT NOT NULL,
    md5 TEXT,
    folder_path TEXT NOT NULL,
    link TEXT,
    blob TEXT,
    PRIMARY KEY (item_id, number, file_id),
    FOREIGN KEY (item_id, number) REFERENCES versions(item_id, number) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX published_files_by_id ON published_files(file_id);

CREATE TABLE private_links (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,              -- articles, collections
    owner_id INTEGER NOT NULL,       -- the item or collection
    token TEXT NOT NULL UNIQUE,
    expires REAL NOT NULL,
    created REAL NOT NULL
);
CREATE INDEX private_links_of ON private_links(kind, owner_id);
CREATE TABLE fundings (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL UNIQUE);
CREATE TABLE materials (             -- related materials, to be named again by their id
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    body TEXT NOT NULL
);

CREATE TABLE projects (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    created REAL NOT NULL,
    modified REAL NOT NULL,
    published REAL,
    metadata TEXT NOT NULL
);
CREATE TABLE collections (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    created REAL NOT NULL,
    modified REAL NOT NULL,
    version INTEGER NOT NULL DEFAULT 0,
    published REAL,
    metadata TEXT NOT NULL
);
CREATE TABLE collection_items (
    collection_id INTEGER NOT NULL REFERENCES collections(id) ON DELETE CASCADE,
    item_id INTEGER NOT NULL REFERENCES items(id) ON DELETE CASCADE,
    PRIMARY KEY (collection_id, item_id)
) WITHOUT ROWID;
CREATE TABLE collection_versions (
    collection_id INTEGER NOT NULL REFERENCES collections(id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    visible REAL NOT NULL,
    metadata TEXT NOT NULL,
    authors TEXT NOT NULL,
    items TEXT NOT NULL,             -- a JSON list of ids
    PRIMARY KEY (collection_id, number)
);
INSERT INTO sqlite_sequence(name, seq) VALUES
    ('fundings', 5000000), ('materials', 10000), ('projects', 250000), ('collections', 7000000);
"""

_PEOPLE = """
ALTER TABLE items ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0;    -- it was published, and unpublished again
CREATE TRIGGER file_withdrawn AFTER UPDATE OF attached ON files WHEN old.attached AND NOT new.attached BEGIN
    UPDATE accounts SET initiated = initiated + new.size, completed = completed + new.size, public = public - new.size
        WHERE id = (SELECT account_id FROM items WHERE id = new.item_id);
END;

ALTER TABLE authors ADD COLUMN job_title TEXT NOT NULL DEFAULT '';
CREATE TABLE account_roles (
    account_id INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
    group_id INTEGER NOT NULL,
    role_id INTEGER NOT NULL,
    PRIMARY KEY (account_id, group_id, role_id)
) WITHOUT ROWID;
CREATE TABLE collaborators (         -- of a project, besides its owner
    project_id INTEGER NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    author_id INTEGER NOT NULL REFERENCES authors(id),
    role TEXT NOT NULL,              -- viewer, collaborator
    PRIMARY KEY (project_id, author_id)
) WITHOUT ROWID;
CREATE TABLE notes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    account_id INTEGER NOT NULL,
    text TEXT NOT NULL,
    created REAL NOT NULL,
    modified REAL NOT NULL
);
CREATE INDEX notes_of_project ON notes(project_id, id);
CREATE TABLE reviews (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    item_id INTEGER NOT NULL REFERENCES items(id) ON DELETE CASCADE,
    version INTEGER NOT NULL,        -- that the review is about
    status TEXT NOT NULL,            -- pending, approved, rejected, closed
    created REAL NOT NULL,
    modified REAL NOT NULL
);
CREATE TABLE review_comments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    review_id INTEGER NOT NULL REFERENCES reviews(id) ON DELETE CASCADE,
    account_id INTEGER NOT NULL,
    text TEXT NOT NULL,
    created REAL NOT NULL
);
INSERT INTO sqlite_sequence(name, seq) VALUES ('notes', 40000), ('reviews', 30000), ('review_comments', 20000);
"""

_REPORTS = """
CREATE TABLE reports (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    group_id INTEGER NOT NULL,       -- 0: of all groups
    token TEXT NOT NULL,             -- in the address of the download
    created REAL NOT NULL
);
"""

_FEEDS = """
CREATE TABLE feeds (                 -- when the last file of a kind was uploaded
    kind TEXT PRIMARY KEY,           -- hr, values
    created REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE field_values (          -- added to the large list of a custom field
    field_id INTEGER NOT NULL,
    value TEXT NOT NULL,
    UNIQUE (field_id, value)
);
"""

_DOCUMENTS = """
CREATE TABLE documents (             -- what filters and searches look at; texts in lower case
    kind TEXT NOT NULL,              -- articles, collections, projects
    id INTEGER NOT NULL,
    number INTEGER NOT NULL,         -- of a published version; 0: the private copy
    group_id INTEGER,
    institution_id INTEGER NOT NULL,
    project_id INTEGER,
    item_type INTEGER,
    resource_id TEXT, handle TEXT,   -- as they are
    institution TEXT NOT NULL, dois TEXT NOT NULL, tags TEXT NOT NULL, orcids TEXT NOT NULL, author_ids TEXT NOT NULL,
    licence TEXT NOT NULL, type TEXT NOT NULL,  -- lists, as the next line: each entry between line breaks
    authors TEXT NOT NULL, categories TEXT NOT NULL, links TEXT NOT NULL, custom TEXT NOT NULL,
    resource_doi TEXT NOT NULL, resource_title TEXT NOT NULL, resource_link TEXT NOT NULL,
    title TEXT NOT NULL, description TEXT NOT NULL,
    words TEXT NOT NULL,             -- all texts, for searches without a prefix
    UNIQUE (kind, id, number)
);
CREATE INDEX documents_by_group ON documents(kind, group_id);
CREATE INDEX documents_by_institution ON documents(kind, institution_id);
CREATE TABLE unindexed (             -- what changed since its document was made
    kind TEXT NOT NULL,
    id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (kind, id, number)
) WITHOUT ROWID;
INSERT INTO unindexed SELECT 'articles', id, 0 FROM items UNION ALL SELECT 'articles', item_id, number FROM versions
    UNION ALL SELECT 'collections', id, 0 FROM collections
    UNION ALL SELECT 'collections', collection_id, number FROM collection_versions
    UNION ALL SELECT 'projects', id, 0 FROM projects;
CREATE TRIGGER item_inserted AFTER INSERT ON items BEGIN
    INSERT OR IGNORE INTO unindexed VALUES ('articles', new.id, 0);
END;
CREATE TRIGGER item_changed AFTER UPDATE OF metadata, version, project_id ON items BEGIN
    INSERT OR IGNORE INTO unindexed VALUES ('articles', new.id, 0);
END;
CREATE TRIGGER item_removed AFTER DELETE ON items BEGIN
    DELETE FROM documents WHERE kind = 'articles' AND id = old.id;
END;
CREATE TRIGGER version_inserted AFTER INSERT ON versions BEGIN
    INSERT OR IGNORE INTO unindexed VALUES ('articles', new.item_id, new.number);
END;
CREATE TRIGGER collection_inserted AFTER INSERT ON collections BEGIN
    INSERT OR IGNORE INTO unindexed VALUES ('collections', new.id, 0);
END;
CREATE TRIGGER collection_changed AFTER UPDATE OF metadata, version ON collections BEGIN
    INSERT OR IGNORE INTO unindexed VALUES ('collections', new.id, 0);
END;
CREATE TRIGGER collection_removed AFTER DELETE ON collections BEGIN
    DELETE FROM documents WHERE kind = 'collections' AND id = old.id;
END;
CREATE TRIGGER collection_version_inserted AFTER INSERT ON collection_versions BEGIN
    INSERT OR IGNORE INTO unindexed VALUES ('collections', new.collection_id, new.number);
END;
CREATE TRIGGER project_inserted AFTER INSERT ON projects BEGIN
    INSERT OR IGNORE INTO unindexed VALUES ('projects', new.id, 0);
END;
CREATE TRIGGER project_changed AFTER UPDATE OF metadata ON projects BEGIN
    INSERT OR IGNORE INTO unindexed VALUES ('projects', new.id, 0);
END;
CREATE TRIGGER project_removed AFTER DELETE ON projects BEGIN
    DELETE FROM documents WHERE kind = 'projects' AND id = old.id;
END;
CREATE INDEX items_by_time ON items(published, id);
CREATE INDEX items_by_creation ON items(created, id);
DROP INDEX versions_by_time;
CREATE INDEX versions_by_time ON versions(item_id, number, visible);
"""

_SEEDED = """
CREATE TABLE seeded (items INTEGER NOT NULL, seed INTEGER NOT NULL);
"""

STEPS: Final = (_FILES, _DATASETS, _PEOPLE, _REPORTS, _FEEDS, _DOCUMENTS, _SEEDED)
VERSION: Final = len(STEPS)
"""The newest version, in `PRAGMA user_version`."""
