"""The filter language of segments: text, rows of the builder, tree, SQL."""
