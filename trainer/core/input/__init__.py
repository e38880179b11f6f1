"""From shards to what a step computes: order, stream, masks, packed rows."""
