"""Operations on tensors that a network may be made of: those that compute, and none that reads or writes a file."""

from __future__ import annotations

import re

OPERATIONS = frozenset(
    (
        *("add", "sub", "rsub", "mul", "div", "neg", "pow", "sqrt", "rsqrt", "exp", "log", "abs", "floor_divide"),
        *("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_not", "where", "masked_fill"),
        *("bitwise_and", "bitwise_or", "bitwise_not", "maximum", "minimum", "clamp", "clamp_min", "clamp_max"),
        *("mean", "sum", "var", "std", "amax", "amin", "any", "all", "cumsum"),
        *("tanh", "sigmoid", "relu", "gelu", "leaky_relu", "softmax", "_softmax", "dropout"),
        *("matmul", "mm", "bmm", "addmm", "baddbmm", "linear", "embedding", "scaled_dot_product_attention"),
        *("conv3d", "convolution", "_convolution", "group_norm", "layer_norm", "native_group_norm"),
        *("native_layer_norm", "upsample_nearest3d", "_native_batch_norm_legit"),
        *("cat", "stack", "split", "chunk", "slice", "select", "gather", "index_select", "expand", "expand_as"),
        *("repeat", "unsqueeze", "squeeze", "flatten", "unflatten", "view", "view_as", "reshape", "permute"),
        *("transpose", "t", "contiguous", "clone", "detach", "alias", "to", "_to_copy", "type_as"),
        *("size", "sym_size", "numel", "sym_numel", "dim", "device", "arange", "scalar_tensor", "lift_fresh_copy"),
        *("full", "full_like", "ones", "ones_like", "zeros", "zeros_like", "new_ones", "new_zeros", "new_full"),
        *("_assert_scalar", "_assert_tensor_metadata", "sym_constrain_range", "sym_constrain_range_for_size"),
    )
)
"""Names of PyTorch; `leaky_relu_`, in place, is the same operation as `leaky_relu`."""

NUMBER_OPERATORS = frozenset(
    (
        "add",
        "sub",
        "mul",
        "floordiv",
        "truediv",
        "mod",
        "neg",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "and_",
        "or_",
        "not_",
    )
)
"""Of Python's `operator`, on sizes."""

PROGRAM_TARGET = re.compile(r"torch\.ops\.aten\.(\w+)\.\w+|_operator\.(\w+)", re.ASCII)


def is_operation(name: str) -> bool:
    """Whether a name is that of an operation on tensors, in place or not."""
    return name in OPERATIONS or name.removesuffix("_") in OPERATIONS


def is_program_target(target: str) -> bool:
    """Whether a torch.export program may call this."""
    found = PROGRAM_TARGET.fullmatch(target)
    return found is not None and (found[2] in NUMBER_OPERATORS if found[2] else is_operation(found[1]))
