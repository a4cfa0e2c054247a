"""The SQLite file of the PDPP reference implementation, brought into a store of ours."""
