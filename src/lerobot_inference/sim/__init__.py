"""A simulated UR10e cell: arm, camera, task; makes datasets, trains policies, closes the loop."""
