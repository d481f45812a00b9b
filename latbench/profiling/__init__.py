"""From a plan through workers to measurements in the store."""
