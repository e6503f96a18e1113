"""What pictures and diagnosis both read off a tape, below both.

``steps`` finds the time steps and the states that link them, ``names`` what the user calls things, ``followed`` runs a backward pass that
looks at everything, ``words`` says numbers and operations as all of them say them.
"""
