"""The knowledge graph: who and what is spoken of, and how it hangs together."""
