"""Looking things up in the administrator's tables: files now, databases and DNS later."""
