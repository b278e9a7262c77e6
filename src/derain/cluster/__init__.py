"""Photos restored by many machines, on Ray Data (extra `ray`)."""
