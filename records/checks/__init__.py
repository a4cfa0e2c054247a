"""What can be checked at rest, and what mends it."""
