"""Who acts, what they may do, and how they prove who they are. Every service uses it."""
