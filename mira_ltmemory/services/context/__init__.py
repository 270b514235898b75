"""What of memory belongs into the prompt at this moment: no model is asked, and little is read."""
