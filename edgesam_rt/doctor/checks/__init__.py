"""The checks, by subject. Each gives Findings about a Patient; `..table` says which there are."""
