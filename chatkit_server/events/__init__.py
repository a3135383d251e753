"""ChatKit's events: their bytes on the wire, the way back from them, and the items that they fold into."""
