"""The revisions of the schema, oldest first; one that was released is never changed."""
