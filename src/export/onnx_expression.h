// A formula as nodes of ONNX, for operations that are a few operators each.
#pragma once

#include <string>

#include "src/export/onnx_writer.h"

namespace convoy {

/// Emits the nodes of an expression such as "Mul(x, Sigmoid(x))" or "LeakyRelu(x, alpha=parameter)" and
/// returns the name of its value, which is the node's. A term is `x` (the node's first input), a number,
/// `parameter`, or an operator with its arguments; `name=term` is an attribute, a number. Throws Error for
/// anything else.
std::string emit_expression(OnnxWriter& model, const std::string& expression, float parameter);

}  // namespace convoy
