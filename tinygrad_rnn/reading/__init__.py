"""What is read off a tape and off the user's code, below pictures and diagnosis.

Of a tape:
    opened      every replay run again, operation by operation
    steps       where its time steps are
    chain       time steps that a state links
    path        the way of a state, along which a residual is bent least
    measured    one backward pass that looks at everything
    followed    which residual is followed in each chain
    norms       how large arrays are
    words       numbers and operations as pictures and tables say them
    recording   all of this for some results

Of the user's names:
    names       what the user calls tensors
    again       the call of the user's code that the names are read from
    alike       which operations of two runs are the same
    owners      what modules and cells are called
    lines       which line recorded an operation

Of the user's code:
    closure     everything that a function can read
    functions, modules, data, objects      the same by the kind of thing
    contents    what containers and arrays hold
    steady      what nobody changes while a program runs
    stores      what code can write to
    links       where the tensors that it reads are held
"""
