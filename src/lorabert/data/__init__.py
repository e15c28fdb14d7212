"""From a hub data set, a file or an asset to token ids and a batch plan."""
