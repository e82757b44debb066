// The file of an ONNX model, written node by node.
#pragma once

#include <onnx.pb.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace convoy {

/// Values are known by their names: a node is called as the one output that it has.
class OnnxModel {
 public:
  using Ints = std::vector<std::int64_t>;

  /// A node with that one output, called `name`, or, where a value of that name is there, with underscores
  /// behind it. An input without a name is left out.
  onnx::NodeProto& emit(const std::string& type, const std::vector<std::string>& inputs, std::string name);
  /// Gives the next value of that name this very name, and no other before it.
  void reserve(const std::string& name) { taken_.insert(name); }
  /// As emit(), of a name that was reserved.
  onnx::NodeProto& emit_reserved(const std::string& type, const std::vector<std::string>& inputs,
                                 const std::string& name);

  static void set(onnx::NodeProto& node, const char* name, std::int64_t value);
  static void set(onnx::NodeProto& node, const char* name, float value);
  static void set(onnx::NodeProto& node, const char* name, const std::string& value);
  static void set(onnx::NodeProto& node, const char* name, const Ints& values);

  /// Constants return their names; the second of a name is the first. Throws Error for more than the 2 GiB
  /// that such a file can hold.
  std::string constant(const std::string& name, const Ints& dims, const std::vector<float>& values);
  std::string constant(const std::string& name, const Ints& dims, const Ints& values);
  std::string number(float value);
  std::string numbers(const Ints& values);

  void add_metadata(const std::string& key, const std::string& value);

  onnx::ModelProto proto;

 private:
  void add_constant(const std::string& name, const Ints& dims, onnx::TensorProto::DataType type,
                    const void* values, std::size_t bytes);
  std::set<std::string> constants_;
  std::set<std::string> taken_;  ///< names of values, constants included
  std::size_t bytes_ = 0;
};

}  // namespace convoy
