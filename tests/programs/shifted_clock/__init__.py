"""On the path of a process, this folder shifts its clock; see ``sitecustomize``."""
