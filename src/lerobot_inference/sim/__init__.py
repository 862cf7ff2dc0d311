"""A simulated UR10e cell: arm, camera, task; makes datasets, trains policies, closes the loop.

It stands for the robot and its driver, faults included, and decides nothing that control/ decides.
"""
