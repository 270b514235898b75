"""What memory does: blocks, recall, archival, search, embedding, status. No SQL, no host, no model files."""
