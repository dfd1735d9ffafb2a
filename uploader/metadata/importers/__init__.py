"""Import metadata in foreign formats: CITATION.cff, DataCite JSON, codemeta.json, RO-Crate, .zenodo.json.

What cannot be used is ignored with a remark; it never prevents an upload.
"""
