"""`hourbook subscriber`: programs outside of Hourbook that read the events of some projects from NATS."""
