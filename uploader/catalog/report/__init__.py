"""Reports: complete tables of records, from a catalog on disk that survives interruptions.

| module | contents |
|---|---|
| `request` | the request for a report, checked |
| `make` | a report from its catalog to its table |
| `price` | what a run would cost, without one |
| `collect` | lists, then records and numbers, then those that failed once more; each run asks for what is missing |
| `phase` | many records read by a few workers, and committed often |
| `limits` | what ends a run early: a deadline, a number of requests, a signal |
| `numbers` | the requests to the statistics service |
| `spec` | one table of definitions: what each report reads, and with which columns |
| `store`, `database`, `parts` | the catalog: one SQLite file a report, and what it says of the parts of a record |
| `sheets`, `workbook` | tables as CSV, XLSX and JSON Lines; what Excel cannot hold |
| `annotate` | pure: the rows of a table: names of groups and owners, numbers, the author that matched |
| `columns`, `known_columns` | pure: the cells of a record, and which columns there are |
| `side_tables` | pure: separate tables of authors, files and others |
| `values` | pure: text of HTML, states, entries of lists |

The promise: run the same report again until it succeeds, and every record is in the table exactly once, with what is
missing named. `collect` writes to the catalog, `sheets` reads from it; neither knows of the other.
"""
