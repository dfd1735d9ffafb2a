"""Programs that others would use, as scripts for an environment of their own; they import nothing of figup."""
