"""Alternative programs, as scripts for a separate environment; they import nothing of figup."""
