"""The manual: Markdown pages, rendered where the code is hosted and shown by `figup help TOPIC`."""
