"""Training a character model: text, loop, run folder and samples. ``tinygrad-rnn train`` is its face."""
