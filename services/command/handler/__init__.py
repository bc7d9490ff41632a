"""The one writer: commands wait in its queue and are decided and appended in batches."""
