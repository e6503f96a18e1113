def backward(tape, values):
    """The residuals of all names on a tape of numbers; that of the last result is 1.

    An entry is (operation, result, operands), all of them names, such as
    ("multiply", "b", ("a", "x")), ("add", "c", ("b", "b")) or ("tanh", "d", ("c",)).
    values has the number of each name.
    """
    residuals = dict.fromkeys(values, 0.0)
    residuals[tape[-1][1]] = 1.0
    for operation, result, operands in reversed(tape):
        g = residuals[result]
        if operation == "tanh":
            parts = [g * (1 - values[result] ** 2)]
        elif operation == "add":
            parts = [g, g]
        else:
            left, right = operands
            parts = [g * values[right], g * values[left]]
        for name, part in zip(operands, parts, strict=True):
            residuals[name] += part
    return residuals
