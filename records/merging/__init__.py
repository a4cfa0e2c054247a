"""Another directory's data of the same owners into this store: records by key, under one rule, all accounted for."""
