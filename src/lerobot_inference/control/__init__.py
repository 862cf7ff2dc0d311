"""Action chunk in, one joint command per tick out: the schedule and the action mode."""
