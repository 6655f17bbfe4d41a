"""What the linters hold of the sentences in the package, the scripts and the documentation."""
