"""What can be read off a program and its tape, for those who look: compiler, pictures, diagnosis.

``closure`` reads what a function can read, ``stores`` what its code can write to; ``steps`` finds the time steps and the states that link
them, ``names`` what the user calls things, ``followed`` runs a backward pass that looks at everything, ``words`` says numbers and
operations as all of them say them.
"""
