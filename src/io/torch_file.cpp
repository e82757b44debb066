#include "src/io/torch_file.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "core/error.h"
#include "src/io/pickle.h"
#include "src/io/zip.h"

namespace convoy {
namespace {

using Kind = PickleValue::Kind;

/// Types of numbers by the class that PyTorch names for a tensor's storage.
struct StorageType {
  std::optional<DType> dtype;  ///< none: of no use here
  std::uint64_t size = 0;      ///< bytes of a number
  const char* name = "";       ///< as safetensors calls it
};
const std::map<std::string, StorageType> storage_types = {
    {"torch.FloatStorage", {DType::f32, 4, "F32"}},  {"torch.DoubleStorage", {DType::f64, 8, "F64"}},
    {"torch.HalfStorage", {DType::f16, 2, "F16"}},   {"torch.BFloat16Storage", {DType::bf16, 2, "BF16"}},
    {"torch.IntStorage", {DType::i32, 4, "I32"}},    {"torch.ByteStorage", {DType::u8, 1, "U8"}},
    {"torch.LongStorage", {std::nullopt, 8, "I64"}}, {"torch.ShortStorage", {std::nullopt, 2, "I16"}},
    {"torch.CharStorage", {std::nullopt, 1, "I8"}},  {"torch.BoolStorage", {std::nullopt, 1, "BOOL"}}};

constexpr const char *rebuild_tensor = "torch._utils._rebuild_tensor_v2",
                     *rebuild_parameter = "torch._utils._rebuild_parameter";

const std::set<std::string>& known_globals() {
  static const std::set<std::string> known = [] {
    std::set<std::string> names{"collections.OrderedDict", rebuild_tensor, rebuild_parameter};
    for (const auto& [name, type] : storage_types) names.insert(name);
    return names;
  }();
  return known;
}

/// What torch.save() of a module's state leaves.
class StateDict {
 public:
  StateDict(const SharedBytes& bytes, const std::string& name)
      : name_(name),
        members_(stored_members(bytes, name)),
        folder_(find_folder()),
        pickle_(member("data.pkl"), known_globals(), name),
        most_copied_(bytes.size()) {
    const auto order = members_.find(folder_ + "byteorder");
    if (order != members_.end() && text_of(order->second) != "little")
      fail("{}: written on a machine with another order of bytes", name);
  }

  TensorFile read() {
    const PickleValue& weights = find_weights();
    TensorFile file;
    for (std::size_t i = 0; i < weights.items.size(); i += 2) {
      const PickleValue& key = pickle_.at(weights.items[i]);
      if (key.kind != Kind::text) fail("{}: its state_dict has a name that is no text", name_);
      const PickleValue& value = pickle_.at(weights.items[i + 1]);
      if (file.tensors.contains(key.text) || file.left_out.contains(key.text))
        fail("{}: its state_dict has {} twice", name_, key.text);
      if (is_tensor(value))
        add_tensor(file, key.text, value);
      else
        file.left_out[key.text] = "no tensor";
    }
    return file;
  }

 private:
  static std::string text_of(const SharedBytes& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  /// The archive's members lie in one folder, called as the file was.
  std::string find_folder() const {
    const std::string pickle = "data.pkl";
    for (const auto& [member, bytes] : members_) {
      const std::size_t slash = member.find('/');
      if (slash != std::string::npos && member.substr(slash + 1) == pickle)
        return member.substr(0, slash + 1);
    }
    fail("{}: a zip archive, but not one of torch.save(): it has no data.pkl", name_);
  }
  const SharedBytes& member(const std::string& path) const {
    const auto found = members_.find(folder_ + path);
    if (found == members_.end()) fail("{}: damaged: its archive has no {}", name_, folder_ + path);
    return found->second;
  }

  bool is_tensor(const PickleValue& value) const { return value.kind == Kind::call; }
  bool holds_tensors(const PickleValue& value) const {
    if (value.kind != Kind::dictionary) return false;
    for (std::size_t i = 1; i < value.items.size(); i += 2)
      if (is_tensor(pickle_.at(value.items[i]))) return true;
    return false;
  }

  const PickleValue& find_weights() const {
    const PickleValue& root = pickle_.root();
    if (holds_tensors(root)) return root;
    if (root.kind == Kind::dictionary) {
      for (const char* wanted : {"state_dict", "model_state_dict", "model"}) {
        for (std::size_t i = 0; i < root.items.size(); i += 2) {
          const PickleValue &key = pickle_.at(root.items[i]), &value = pickle_.at(root.items[i + 1]);
          if (key.kind == Kind::text && key.text == wanted && holds_tensors(value)) return value;
        }
      }
    }
    fail(
        "{}: holds no state_dict, neither by itself nor under state_dict, model_state_dict or model; write "
        "one in "
        "Python by torch.save(model.state_dict(), FILE)",
        name_);
  }

  [[noreturn]] void broken(const std::string& tensor, const std::string& what) const {
    fail("{}: damaged: tensor {} {}", name_, tensor, what);
  }

  /// Argument number `index` of a call, which must be of that kind.
  const PickleValue& argument(const PickleValue& call, std::size_t index, Kind kind,
                              const std::string& tensor) const {
    const std::vector<std::size_t>& arguments = pickle_.at(call.items[0]).items;
    if (index >= arguments.size() || pickle_.at(arguments[index]).kind != kind)
      broken(tensor, "is made in a way that is not known here");
    return pickle_.at(arguments[index]);
  }
  std::vector<std::int64_t> sizes(const PickleValue& call, std::size_t index,
                                  const std::string& tensor) const {
    constexpr std::size_t most_axes = 16;
    std::vector<std::int64_t> out;
    for (const std::size_t item : argument(call, index, Kind::sequence, tensor).items) {
      const PickleValue& size = pickle_.at(item);
      if (size.kind != Kind::integer || size.integer < 0 || out.size() == most_axes)
        broken(tensor, "has an impossible shape");
      out.push_back(size.integer);
    }
    return out;
  }

  /// A tensor's numbers, before they are cut out of the storage.
  struct Storage {
    StorageType type;
    SharedBytes bytes;
    std::uint64_t count = 0;
  };
  Storage storage_of(const PickleValue& call, const std::string& tensor) const {
    const PickleValue& place = argument(call, 0, Kind::persistent, tensor);
    const PickleValue& parts = pickle_.at(place.items[0]);
    const auto part = [&](std::size_t index, Kind kind) -> const PickleValue& {
      if (parts.kind != Kind::sequence || index >= parts.items.size() ||
          pickle_.at(parts.items[index]).kind != kind)
        broken(tensor, "lies in a storage of a kind that is not known here");
      return pickle_.at(parts.items[index]);
    };
    if (part(0, Kind::text).text != "storage") broken(tensor, "lies in something else than a storage");
    const auto type = storage_types.find(part(1, Kind::global).text);
    if (type == storage_types.end()) broken(tensor, "has numbers of a type that is not known here");
    Storage storage{type->second, member("data/" + part(2, Kind::text).text), 0};
    storage.count = storage.bytes.size() / storage.type.size;
    const std::int64_t said = part(4, Kind::integer).integer;
    if (said < 0 || static_cast<std::uint64_t>(said) > storage.count)
      broken(tensor,
             fmt::format("is in a storage of {} numbers, of which there are {}", said, storage.count));
    return storage;
  }

  void add_tensor(TensorFile& file, const std::string& tensor, const PickleValue& outer) {
    const PickleValue* call = &outer;
    if (call->text == rebuild_parameter) call = &argument(*call, 0, Kind::call, tensor);
    if (call->text != rebuild_tensor) broken(tensor, fmt::format("is made by {}", call->text));
    const Storage storage = storage_of(*call, tensor);
    const std::int64_t offset = argument(*call, 1, Kind::integer, tensor).integer;
    const std::vector<std::int64_t> shape = sizes(*call, 2, tensor), strides = sizes(*call, 3, tensor);
    if (strides.size() != shape.size()) broken(tensor, "has more axes than steps along them");
    if (!storage.type.dtype) {
      file.left_out[tensor] = storage.type.name;
      return;
    }
    const std::uint64_t count = count_within(storage, offset, shape, strides, tensor);
    file.tensors[tensor] = {
        *storage.type.dtype, shape,
        values_of(storage, static_cast<std::uint64_t>(offset), count, shape, strides, tensor)};
  }

  /// How many numbers there are, all of which the storage must have.
  std::uint64_t count_within(const Storage& storage, std::int64_t offset,
                             const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides,
                             const std::string& tensor) const {
    std::int64_t count = 1, last = offset;
    bool beyond = offset < 0;
    for (std::size_t axis = 0; axis < shape.size() && count > 0; ++axis) {
      std::int64_t reach = 0;
      beyond |= __builtin_mul_overflow(count, shape[axis], &count);
      beyond |= __builtin_mul_overflow(shape[axis] - 1, strides[axis], &reach);
      beyond |= __builtin_add_overflow(last, reach, &last);
    }
    if (count == 0 && offset >= 0) return 0;
    if (beyond || std::cmp_greater(count, storage.count) || std::cmp_greater_equal(last, storage.count))
      broken(tensor, fmt::format("of shape [{}] reaches beyond its storage of {} numbers",
                                 fmt::join(shape, ","), storage.count));
    return static_cast<std::uint64_t>(count);
  }

  SharedBytes values_of(const Storage& storage, std::uint64_t offset, std::uint64_t count,
                        const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides,
                        const std::string& tensor) {
    const std::uint64_t size = storage.type.size;
    const auto address = reinterpret_cast<std::uintptr_t>(storage.bytes.data()) + offset * size;
    if (count == 0) return {};
    if (is_one_piece(shape, strides) && address % size == 0)
      return storage.bytes.part(offset * size, count * size);
    if (count * size > most_copied_) broken(tensor, "shares its numbers with others in another order");
    most_copied_ -= count * size;
    std::vector<std::byte> values(count * size);
    std::vector<std::int64_t> index(shape.size(), 0);
    std::uint64_t from = offset;
    for (std::uint64_t i = 0; i < count; ++i) {
      std::memcpy(values.data() + i * size, storage.bytes.data() + from * size, size);
      for (std::size_t axis = shape.size(); axis-- > 0;) {
        from += static_cast<std::uint64_t>(strides[axis]);
        if (++index[axis] < shape[axis]) break;
        from -= static_cast<std::uint64_t>(shape[axis] * strides[axis]);
        index[axis] = 0;
      }
    }
    return values;
  }
  static bool is_one_piece(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides) {
    std::int64_t step = 1;
    for (std::size_t axis = shape.size(); axis-- > 0; step *= shape[axis])
      if (shape[axis] != 1 && strides[axis] != step) return false;
    return true;
  }

  const std::string& name_;
  const std::map<std::string, SharedBytes> members_;
  const std::string folder_;
  const Pickle pickle_;
  std::uint64_t most_copied_;  ///< bytes: strides of 0 would let a small file fill any memory
};

}  // namespace

bool is_torch_file(std::span<const std::byte> bytes) {
  return is_zip(bytes);
}

TensorFile from_torch_file(const SharedBytes& bytes, const std::string& name) {
  return StateDict(bytes, name).read();
}

}  // namespace convoy
