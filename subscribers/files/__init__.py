"""Files of people and their forms: CSV, JSON lines, ZIP; read tolerantly, written whole or not."""
