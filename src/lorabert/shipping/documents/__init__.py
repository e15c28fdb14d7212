"""The JSON documents in an adapter, an export or a store, held against what lorabert writes."""
