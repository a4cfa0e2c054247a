"""Who may see what: tokens, grants, and the scope that every read takes."""
