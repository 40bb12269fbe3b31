"""The options of the main section, by topic; one class each."""
