"""What a run will cost, what it has cost, where it must stop, and under which licences its data came."""
