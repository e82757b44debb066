#include "src/export/onnx_expression.h"

#include <fmt/format.h>

#include <charconv>
#include <string_view>

#include "core/error.h"

namespace convoy {
namespace {

/// A recursive descent: term = number | "x" | "parameter" | name "(" argument { "," argument } ")".
class Reader {
 public:
  Reader(OnnxWriter& model, std::string_view text, float parameter)
      : model_(model), text_(text), parameter_(parameter) {}

  std::string run() {
    const std::string value = operator_of(word(), "");
    if (!rest().empty()) refuse();
    return value;
  }

 private:
  std::string_view rest() const { return text_.substr(at_); }
  bool skip(char c) {
    while (rest().starts_with(' ')) ++at_;
    if (!rest().starts_with(c)) return false;
    ++at_;
    return true;
  }
  std::string word() {
    while (rest().starts_with(' ')) ++at_;
    const std::size_t length = std::min(rest().find_first_of(" ,()="), rest().size());
    const std::string found(rest().substr(0, length));
    if (found.empty()) refuse();
    at_ += length;
    return found;
  }
  float number(const std::string& text) const {
    if (text == "parameter") return parameter_;
    float value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) refuse();
    return value;
  }

  std::string term(const std::string& first) {
    if (rest().starts_with('(')) return operator_of(first, fmt::format(".{}", ++inner_));
    return first == "x" ? model_.x().name : model_.number(number(first));
  }
  std::string operator_of(const std::string& type, const std::string& suffix) {
    std::vector<std::string> names;  // of attributes, which outlive them
    std::vector<float> values;
    std::vector<std::string> inputs;
    if (!skip('(')) refuse();
    do {
      const std::string first = word();
      if (skip('=')) {
        names.push_back(first);
        values.push_back(number(word()));
      } else {
        inputs.push_back(term(first));
      }
    } while (skip(','));
    if (!skip(')')) refuse();
    std::vector<OnnxAttribute> attributes;
    for (std::size_t i = 0; i < names.size(); ++i) attributes.push_back({names[i].c_str(), values[i]});
    return model_.emit(type.c_str(), inputs, attributes, suffix);
  }

  [[noreturn]] void refuse() const {
    fail("internal error: \"{}\" is no expression of ONNX operators, at \"{}\"", text_, rest());
  }

  OnnxWriter& model_;
  const std::string_view text_;
  const float parameter_;
  std::size_t at_ = 0;
  int inner_ = 0;  ///< operators below the outermost so far
};

}  // namespace

std::string emit_expression(OnnxWriter& model, const std::string& expression, float parameter) {
  return Reader(model, expression, parameter).run();
}

}  // namespace convoy
