"""The weekly review: patterns mined across conversations, and a model that looks at them with memory's tools."""
