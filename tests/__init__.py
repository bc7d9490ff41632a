"""The tests. A regular package, because a library may install a package of this name."""
