"""How many files of the package one call, one resolve and one followed event cross."""
