"""Target records, history and the state directory. Must not render anything."""
