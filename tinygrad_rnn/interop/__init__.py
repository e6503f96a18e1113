"""Exchange with files and with other frameworks. Each part is imported when it is asked for."""
