"""The rooms of the package: what the linters hold of them, and that they would notice a breach."""
