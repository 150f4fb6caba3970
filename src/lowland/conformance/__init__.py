"""What every energy, solver, shaping and world must do, as tests; `lowland check` runs them on a file of your own."""
