"""Commands over the library: serve, hydrate, collect, check, erase, measure."""
