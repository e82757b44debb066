// What every layer declares. A layer is a struct of its YAML with two functions, and an operation of the
// graph with three; docs/architecture.md, "Adding things", says which files; dropout is the shortest,
// batchnorm one with parameters.
#pragma once

#include <vector>

namespace convoy {

// The sides that meet in a layer's .cpp file.
template <class S>
struct Kind;         // src/config/schema.h: its name in YAML, its keys and their help
class GraphBuilder;  // src/model/graph_builder.h: its shape and its parameters
class Emitter;       // src/plan/emitter.h: the calls of its forward and its backward
class OnnxWriter;    // src/export/onnx_writer.h: its nodes in ONNX
struct OnnxValue;

struct LayerConfig;

/// One number for all axes or one per axis (2 for images, 3 for volumes).
using AxisValues = std::vector<int>;

/// How a parameter starts (initial_value() in src/model/graph.h).
enum class Init { zeros, ones, constant, uniform_fan, he, glorot, dirac };

// clang-format off
// struct XConfig {                                  what the YAML says
//   using Op = op::X;                               or Ops, a list of several, or of none where others' do all
//   static std::vector<Kind<LayerConfig>> kinds();  the names that it has in a list of layers
//   int add(GraphBuilder&, int input) const;        adds op::X behind node `input`; returns its node
//   bool operator==(const XConfig&) const = default;
// };
// namespace op {
// struct X {                                        what the graph knows; indices of parameters, -1: none
//   using Calls = TypeList<...>;                    calls that no other layer has; none is called X
//   static constexpr bool pointwise;                every feature is treated alike: false where anything differs
//                                                   by channel, since behind a flatten the order then matters
//   void forward(Emitter&) const;
//   void backward(Emitter&) const;                  where the node or something before it has parameters; asks
//                                                   wants_dx() before it makes dx
//   OnnxValue write(OnnxWriter&) const;
// };
// }
// clang-format on

}  // namespace convoy
