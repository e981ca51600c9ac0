"""Files of people on their way in: read, judged row by row, stored by the thousand."""
