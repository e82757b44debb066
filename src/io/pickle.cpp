#include "src/io/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace convoy {

namespace {

// Far more than the weights of any network need.
constexpr std::size_t longest = 64 << 20, most_values = 2'000'000, deepest = 64;

constexpr const char* ordered_dictionary = "collections.OrderedDict";

/// The instructions that plain values are made of.
enum Opcode : unsigned char {
  proto = 0x80,
  frame = 0x95,
  stop = '.',
  mark = '(',
  pop = '0',
  pop_mark = '1',
  none = 'N',
  new_true = 0x88,
  new_false = 0x89,
  bin_int = 'J',
  bin_int1 = 'K',
  bin_int2 = 'M',
  long1 = 0x8a,
  bin_float = 'G',
  bin_string = 'T',
  short_bin_string = 'U',
  bin_unicode = 'X',
  short_bin_unicode = 0x8c,
  empty_tuple = ')',
  tuple = 't',
  tuple1 = 0x85,
  tuple2 = 0x86,
  tuple3 = 0x87,
  empty_list = ']',
  append = 'a',
  appends = 'e',
  empty_dict = '}',
  set_item = 's',
  set_items = 'u',
  bin_put = 'q',
  long_bin_put = 'r',
  memoize = 0x94,
  bin_get = 'h',
  long_bin_get = 'j',
  global = 'c',
  stack_global = 0x93,
  reduce = 'R',
  build = 'b',
  bin_pers_id = 'Q'
};

}  // namespace

/// The machine: a stack of values, marks in it, and a memo of values that come again.
class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, const std::set<std::string>& known, const std::string& name,
                Pickle& out)
      : bytes_(bytes), known_(known), name_(name), values_(out.values_) {}

  /// Returns the value that the program leaves.
  std::size_t run() {
    if (bytes_.size() > longest) broken("is longer than that of any weights");
    for (;;) {
      const auto opcode = number<std::uint8_t>();
      if (opcode == stop) break;
      step(opcode);
    }
    if (stack_.size() != 1 || !marks_.empty()) broken("leaves no single value");
    return stack_[0];
  }

 private:
  using Kind = PickleValue::Kind;

  [[noreturn]] void broken(const std::string& what) const { fail("{}: its pickle {}", name_, what); }

  std::string_view take(std::size_t count) {
    if (count > bytes_.size() - at_) broken("is truncated");
    const std::string_view taken(reinterpret_cast<const char*>(bytes_.data()) + at_, count);
    at_ += count;
    return taken;
  }
  template <class Number>
  Number number() {
    Number value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view line() {
    const char* const begin = reinterpret_cast<const char*>(bytes_.data()) + at_;
    const std::string_view rest(begin, bytes_.size() - at_);
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) broken("is truncated");
    at_ += end + 1;
    return rest.substr(0, end);
  }

  void push(PickleValue value) {
    if (values_.size() >= most_values) broken("holds more values than any weights");
    values_.push_back(std::move(value));
    stack_.push_back(values_.size() - 1);
  }
  void push_integer(Kind kind, std::int64_t integer) { push({kind, integer, 0, {}, {}}); }
  void push_text(Kind kind, std::string_view text) { push({kind, 0, 0, std::string(text), {}}); }

  /// What lies above the last mark stays.
  std::size_t top() const {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) broken("takes a value that is not there");
    return stack_.back();
  }
  std::size_t take_top() {
    const std::size_t value = top();
    stack_.pop_back();
    return value;
  }
  std::vector<std::size_t> take_top(std::size_t count) {
    std::vector<std::size_t> taken(count);
    for (std::size_t i = count; i-- > 0;) taken[i] = take_top();
    return taken;
  }
  std::vector<std::size_t> take_to_mark() {
    if (marks_.empty()) broken("ends what it did not begin");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<std::size_t> taken(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return taken;
  }
  PickleValue& top_of(Kind kind, const char* what) {
    PickleValue& value = values_[top()];
    if (value.kind != kind) broken(fmt::format("has something else where {} should be", what));
    return value;
  }

  void push_items(Kind kind, std::vector<std::size_t> items) { push({kind, 0, 0, {}, std::move(items)}); }
  void add_to(Kind kind, const char* what, const std::vector<std::size_t>& items) {
    std::vector<std::size_t>& all = top_of(kind, what).items;
    if (kind == Kind::dictionary && items.size() % 2 != 0) broken("has a key without a value");
    all.insert(all.end(), items.begin(), items.end());
  }

  void keep(std::uint64_t index) { memo_[index] = top(); }
  void recall(std::uint64_t index) {
    const auto kept = memo_.find(index);
    if (kept == memo_.end()) broken("asks for a value that it did not keep");
    stack_.push_back(kept->second);
  }

  void push_global(const std::string& global_name) {
    if (!known_.contains(global_name))
      fail(
          "{}: asks for {}, which is no weights but code, and none is run: save the weights alone, in Python "
          "by "
          "torch.save(model.state_dict(), FILE)",
          name_, global_name.substr(0, 200));
    push_text(Kind::global, global_name);
  }

  void call() {
    const std::size_t arguments = take_top();
    const PickleValue function = values_[take_top()];
    if (function.kind != Kind::global || values_[arguments].kind != Kind::sequence)
      broken("calls what is no function");
    if (function.text == ordered_dictionary) {
      if (!values_[arguments].items.empty()) broken("makes an OrderedDict in a way that is not known here");
      return push_items(Kind::dictionary, {});
    }
    push({Kind::call, 0, 0, function.text, {arguments}});
  }

  void step(unsigned char opcode) {
    switch (opcode) {
      case proto:
        if (number<std::uint8_t>() > 5) broken("is of a newer protocol than 5");
        return;
      case frame:
        take(8);
        return;
      case mark:
        if (marks_.size() >= deepest) broken("is nested too deeply");
        return marks_.push_back(stack_.size());
      case pop:
        take_top();
        return;
      case pop_mark:
        take_to_mark();
        return;
      case none:
        return push({});
      case new_true:
      case new_false:
        return push_integer(Kind::boolean, opcode == new_true ? 1 : 0);
      case bin_int:
        return push_integer(Kind::integer, number<std::int32_t>());
      case bin_int1:
        return push_integer(Kind::integer, number<std::uint8_t>());
      case bin_int2:
        return push_integer(Kind::integer, number<std::uint16_t>());
      case long1:
        return push_long(take(number<std::uint8_t>()));
      case bin_float: {
        const auto bits = number<std::uint64_t>();  // big-endian
        PickleValue value;
        value.kind = Kind::real;
        value.real = std::bit_cast<double>(__builtin_bswap64(bits));
        return push(std::move(value));
      }
      case bin_string:
      case bin_unicode:
        return push_text(Kind::text, take(number<std::uint32_t>()));
      case short_bin_string:
      case short_bin_unicode:
        return push_text(Kind::text, take(number<std::uint8_t>()));
      default:
        return step_of_containers(opcode);
    }
  }

  void push_long(std::string_view digits) {
    if (digits.size() > 8) broken("has an integer of more than 64 bits");
    std::uint64_t bits = 0;
    std::memcpy(&bits, digits.data(), digits.size());
    const std::size_t unused = 64 - 8 * digits.size();
    push_integer(Kind::integer, digits.empty() ? 0 : static_cast<std::int64_t>(bits << unused) >> unused);
  }

  void step_of_containers(unsigned char opcode) {
    switch (opcode) {
      case empty_tuple:
      case empty_list:
        return push_items(Kind::sequence, {});
      case tuple:
        return push_items(Kind::sequence, take_to_mark());
      case tuple1:
      case tuple2:
      case tuple3:
        return push_items(Kind::sequence, take_top(opcode - tuple1 + std::size_t{1}));
      case append:
        return add_last(Kind::sequence, "a list", 1);
      case appends:
        return add_to(Kind::sequence, "a list", take_to_mark());
      case empty_dict:
        return push_items(Kind::dictionary, {});
      case set_item:
        return add_last(Kind::dictionary, "a dictionary", 2);
      case set_items:
        return add_to(Kind::dictionary, "a dictionary", take_to_mark());
      case bin_put:
        return keep(number<std::uint8_t>());
      case long_bin_put:
        return keep(number<std::uint32_t>());
      case memoize:
        return keep(memo_.size());
      case bin_get:
        return recall(number<std::uint8_t>());
      case long_bin_get:
        return recall(number<std::uint32_t>());
      case global: {
        const std::string module(line());
        return push_global(module + "." + std::string(line()));
      }
      case stack_global: {
        const std::vector<std::size_t> parts = take_top(2);
        for (const std::size_t part : parts)
          if (values_[part].kind != Kind::text) broken("has a name that is no text");
        return push_global(values_[parts[0]].text + "." + values_[parts[1]].text);
      }
      case reduce:
        return call();
      case build:  // attributes of a dictionary, such as the versions of a state_dict's modules: left out
        take_top();
        top_of(Kind::dictionary, "a dictionary");
        return;
      case bin_pers_id:
        return push_items(Kind::persistent, {take_top()});
      default:
        fail(
            "{}: its pickle has the instruction 0x{:02x}, which no weights need: save them in Python by "
            "torch.save(model.state_dict(), FILE)",
            name_, opcode);
    }
  }
  void add_last(Kind kind, const char* what, std::size_t count) {
    const std::vector<std::size_t> items = take_top(count);
    add_to(kind, what, items);
  }

  const std::span<const std::byte> bytes_;
  const std::set<std::string>& known_;
  const std::string& name_;
  std::vector<PickleValue>& values_;
  std::size_t at_ = 0;
  std::vector<std::size_t> stack_, marks_;  ///< marks: heights of the stack
  std::map<std::uint64_t, std::size_t> memo_;
};

Pickle::Pickle(std::span<const std::byte> bytes, const std::set<std::string>& known,
               const std::string& name) {
  root_ = PickleMachine(bytes, known, name, *this).run();
}

}  // namespace convoy
