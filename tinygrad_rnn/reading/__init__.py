"""What is read off a tape and off the user's code, below pictures and diagnosis.

``opened`` undoes replays, ``steps`` finds the time steps and ``chain`` the states that link them, ``path``
the way of a state; ``names`` is what the user calls tensors (``again`` reads it off the code, ``alike`` tells
which operations are the same), ``owners`` what modules are called; ``followed`` runs a backward pass that
looks at everything, ``norms`` measures; ``words`` says numbers and operations as all of them say them;
``recording`` is all of that for some results. ``closure`` reads what a function can read, ``stores`` what its
code can write to, ``lines`` which line recorded an operation.
"""
