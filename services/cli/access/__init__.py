"""`hourbook token`, `hourbook roles` and `hourbook people`: who may do what, and who is who."""
