"""Studies of many trials: search spaces, Ray Tune, Optuna and what comes of them."""
