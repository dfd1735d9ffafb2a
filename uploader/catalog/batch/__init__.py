"""The metadata report of Figshare's administration pages ("batch management"): JSON in the cells of a CSV.

| module | contents |
|---|---|
| `files` | the CSV as text, also out of the ZIP that it is sent in |
| `cells` | pure: values of cells, dates that went through Excel |
| `records` | pure: rows as records in the form of Figshare's API |
| `additions` | what the report lacks, from Figshare: events, names of funders |
| `summary` | pure: what the records are, counted |
"""
