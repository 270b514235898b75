"""Language models for the memory's own work: a client for OpenAI-compatible servers, and patience with any model."""
