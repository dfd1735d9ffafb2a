"""Reports: complete tables of records, from a catalog on disk that survives interruptions.

| module | contents |
|---|---|
| `make` | a report from its catalog to its table, and what it would cost |
| `collect` | lists, then records, then those that failed once more; each run asks for what is missing |
| `store` | the catalog: one SQLite file a report, with a lock |
| `sheets` | tables as CSV, XLSX and JSON Lines; what Excel cannot hold |
| `columns` | pure: the columns of a table, and the cells of a record |
| `values` | pure: text of HTML, states, entries of lists |

The promise: run the same report again until it succeeds, and every record is in the table exactly once, with what is
missing named. `collect` writes to the catalog, `sheets` reads from it; neither knows of the other.
"""
