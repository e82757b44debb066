// PyTorch's files of weights: what is read, and that nothing in one is run or believed.
#include "src/io/torch_file.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "core/error.h"
#include "tests/io/zip_writer.h"

namespace convoy::testing {
namespace {

// ---- pickles by hand, as protocol 2 has them ----

template <class Integer>
std::string bytes_of(Integer value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string text(const std::string& characters) {
  return "X" + bytes_of(static_cast<std::uint32_t>(characters.size())) + characters;
}
std::string integer(std::int64_t value) {
  return std::string("\x8a\x08", 2) + bytes_of(value);
}
std::string tuple(const std::vector<std::int64_t>& values) {
  std::string out = "(";
  for (const std::int64_t value : values) out += integer(value);
  return out + "t";
}
std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
std::string storage(const std::string& key, std::int64_t count, const std::string& type = "FloatStorage") {
  return "(" + text("storage") + global("torch", type) + text(key) + text("cpu") + integer(count) + "tQ";
}
std::string tensor(const std::string& values, std::int64_t offset, const std::vector<std::int64_t>& shape,
                   const std::vector<std::int64_t>& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") + "(" + values + integer(offset) + tuple(shape) +
         tuple(strides) + "\x89" + global("collections", "OrderedDict") + ")RtR";
}
/// A state_dict of these keys and values, one behind the other.
std::string program(const std::string& items) {
  return std::string("\x80\x02", 2) + global("collections", "OrderedDict") + ")R(" + items + "u.";
}

/// A file of that pickle and one storage of six numbers, from 0.5 on.
std::string file_of(const std::string& pickle, std::uint16_t method = 0) {
  std::string values;
  for (int i = 0; i < 6; ++i) values += bytes_of(0.5f + static_cast<float>(i));
  ZipWriter archive;
  archive.add("net/data.pkl", pickle);
  archive.method = method;
  archive.add("net/byteorder", "little");
  archive.add("net/data/0", values);
  return archive.finish();
}

std::vector<float> floats(const FileTensor& tensor) {
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

std::string refusal(const std::string& bytes) {
  try {
    from_torch_file(bytes, "net.pth");
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}
void expect_refusal(const std::string& bytes, const std::string& part) {
  const std::string message = refusal(bytes);
  EXPECT_TRUE(message.starts_with("net.pth: ")) << message;
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

const std::string plain = tensor(storage("0", 6), 0, {2, 3}, {3, 1});

TEST(TorchFile, TensorsAreWhatTheirStoragesHold) {
  const std::string pickle =
      program(text("a") + plain + text("b") + tensor(storage("0", 6), 2, {2}, {1}) + text("turned") +
              tensor(storage("0", 6), 0, {3, 2}, {1, 3}) + text("number") +
              tensor(storage("0", 6), 5, {}, {}) + text("none") + tensor(storage("0", 6), 6, {0, 7}, {7, 1}) +
              text("count") + tensor(storage("0", 3, "LongStorage"), 0, {}, {}));
  const std::string bytes = file_of(pickle);
  ASSERT_TRUE(is_torch_file(std::as_bytes(std::span(bytes))));
  const TensorFile file = from_torch_file(bytes, "net.pth");
  EXPECT_EQ(file.tensors.size(), 5u);
  EXPECT_EQ(file.tensors.at("a").shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(floats(file.tensors.at("a")), (std::vector<float>{0.5, 1.5, 2.5, 3.5, 4.5, 5.5}));
  EXPECT_EQ(floats(file.tensors.at("b")), (std::vector<float>{2.5, 3.5}));
  EXPECT_EQ(floats(file.tensors.at("turned")), (std::vector<float>{0.5, 3.5, 1.5, 4.5, 2.5, 5.5}));
  EXPECT_EQ(floats(file.tensors.at("number")), std::vector<float>{5.5});
  EXPECT_TRUE(file.tensors.at("none").bytes.empty());
  EXPECT_EQ(file.left_out, (std::map<std::string, std::string>{{"count", "I64"}}));
}

TEST(TorchFile, TypesAreThoseOfTheStorage) {
  for (const auto& [name, type] : {std::pair{"HalfStorage", DType::f16},
                                   {"BFloat16Storage", DType::bf16},
                                   {"DoubleStorage", DType::f64},
                                   {"ByteStorage", DType::u8}}) {
    const TensorFile file =
        from_torch_file(file_of(program(text("w") + tensor(storage("0", 2, name), 0, {2}, {1}))), "net.pth");
    EXPECT_EQ(file.tensors.at("w").dtype, type) << name;
    EXPECT_EQ(std::ssize(std::span<const std::byte>(file.tensors.at("w").bytes)), 2 * size_of(type)) << name;
  }
}

TEST(TorchFile, WeightsInATrainingCheckpointAreFound) {
  for (const char* key : {"state_dict", "model_state_dict", "model"}) {
    const std::string inner = "}(" + text("w") + plain + "u";
    const std::string pickle = std::string("\x80\x02}(", 4) + text("epoch") + "K\x07" + text("loss") +
                               std::string("G\x3f\xf0\0\0\0\0\0\0", 9) + text(key) + inner + "u.";
    EXPECT_TRUE(from_torch_file(file_of(pickle), "net.pth").tensors.contains("w")) << key;
  }
  expect_refusal(file_of(std::string("\x80\x02}.", 4)), "holds no state_dict");
}

TEST(TorchFile, AttributesOfAStateDictAreLeftOut) {
  const std::string pickle = std::string("\x80\x02", 2) + global("collections", "OrderedDict") + ")R(" +
                             text("w") + plain + "u" + "}" + text("_metadata") + "}sb.";
  EXPECT_EQ(from_torch_file(file_of(pickle), "net.pth").tensors.size(), 1u);
}

// ---- what others may want it to do ----

TEST(TorchFile, NoFunctionIsCalled) {
  expect_refusal(file_of(std::string("\x80\x02", 2) + global("os", "system") + "(" + text("touch x") + "tR."),
                 "asks for os.system, which is no weights but code");
  expect_refusal(file_of(std::string("\x80\x04", 2) + text("builtins") + text("eval") + "\x93."),
                 "asks for builtins.eval");
  expect_refusal(
      file_of(std::string("\x80\x02", 2) + global("torchvision.models.resnet", "ResNet") + ")\x81."),
      "asks for torchvision.models.resnet.ResNet");
  // Allowed names in places where they make no sense.
  expect_refusal(file_of(program(text("w") + global("torch", "FloatStorage") + ")R")),
                 "is made by torch.FloatStorage");
  expect_refusal(file_of(program(text("w") + global("torch._utils", "_rebuild_tensor_v2") + ")R")),
                 "made in a way that is not known");
  expect_refusal(file_of(program(text("w") + global("torch._utils", "_rebuild_parameter") + "(" + plain +
                                 "tR" + text("v") + global("torch._utils", "_rebuild_parameter") + ")R")),
                 "made in a way that is not known");
  expect_refusal(file_of(std::string("\x80\x02i", 3) + "os\nsystem\n."), "instruction 0x69");
}

TEST(TorchFile, ProgramsThatMakeNoSenseAreRefused) {
  const auto expect = [](const std::string& code, const char* part) {
    expect_refusal(file_of(std::string("\x80\x02", 2) + code), part);
  };
  expect("", "truncated");
  expect("X\xff\xff\xff\xff", "truncated");
  expect("cos\nsystem", "truncated");
  expect("R.", "takes a value that is not there");
  expect("K\1.K", "holds no state_dict");
  expect("K\1K\2.", "leaves no single value");
  expect("(.", "leaves no single value");
  expect("t.", "ends what it did not begin");
  expect("K\1a.", "takes a value that is not there");
  expect("K\1K\1a.", "something else where a list should be");
  expect("}K\1K\1u.", "ends what it did not begin");
  expect("}(K\1u.", "a key without a value");
  expect("h\7.", "asks for a value that it did not keep");
  expect("q\7.", "takes a value that is not there");
  expect(std::string("\x8a\x09", 2) + "123456789.", "more than 64 bits");
  expect(std::string(100'000, '('), "nested too deeply");
  expect(std::string(3'000'000, 'N') + ".", "more values than any weights");
  expect("(K\1K\1R.", "calls what is no function");
  expect_refusal(file_of("\x80\x09."), "newer protocol");
}

TEST(TorchFile, TensorsStayWithinTheirStorages) {
  constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  const auto expect = [](const std::string& values, const char* part) {
    expect_refusal(file_of(program(text("w") + values)), part);
  };
  expect(tensor(storage("0", 6), 1, {2, 3}, {3, 1}), "reaches beyond its storage of 6 numbers");
  expect(tensor(storage("0", 6), -1, {2}, {1}), "reaches beyond");
  expect(tensor(storage("0", 6), 6, {1}, {1}), "reaches beyond");
  expect(tensor(storage("0", 6), 0, {2}, {huge}), "reaches beyond");
  expect(tensor(storage("0", 6), 0, {huge, huge}, {0, 0}), "reaches beyond");
  expect(tensor(storage("0", 6), huge, {2, 2}, {huge, huge}), "reaches beyond");
  expect(tensor(storage("0", 6), 0, {7}, {0}), "reaches beyond");
  expect(tensor(storage("0", 6), 0, {-1}, {1}), "impossible shape");
  expect(tensor(storage("0", 6), 0, {2}, {-1}), "impossible shape");
  expect(tensor(storage("0", 6), 0, {2}, {1, 1}), "more axes than steps");
  expect(tensor(storage("0", 7), 0, {2}, {1}), "a storage of 7 numbers, of which there are 6");
  expect(tensor(storage("0", -1), 0, {2}, {1}), "a storage of -1 numbers");
  expect(tensor(storage("1", 6), 0, {2}, {1}), "its archive has no net/data/1");
  expect(tensor(storage("../../etc/passwd", 6), 0, {2}, {1}), "its archive has no");
  expect(tensor(storage("0", 6, "OrderedDict"), 0, {2}, {1}), "asks for torch.OrderedDict");
  expect(plain + text("w") + plain, "has w twice");
  // Numbers that lie otherwise are copied, but not without end.
  std::string many;
  for (int i = 0; i < 1000; ++i) many += text(std::to_string(i)) + tensor(storage("0", 6), 0, {3, 2}, {1, 3});
  EXPECT_EQ(from_torch_file(file_of(program(many)), "net.pth").tensors.size(), 1000u);
  ZipWriter archive;
  std::string memo = program(text("a") + storage("0", 100'000) + "q\1" + text("b"));
  memo.clear();
  for (int i = 0; i < 20; ++i)
    memo += text(std::to_string(i)) + tensor(storage("0", 100'000), 0, {2, 50'000}, {1, 2});
  archive.add("a/data.pkl", program(memo));
  archive.add("a/data/0", std::string(400'000, '\0'));
  expect_refusal(archive.finish(), "shares its numbers with others in another order");
}

TEST(TorchFile, ArchivesAreWhole) {
  const std::string whole = file_of(program(text("w") + plain));
  EXPECT_EQ(refusal(whole), "accepted");
  for (std::size_t size = 4; size < whole.size(); ++size)
    EXPECT_TRUE(refusal(whole.substr(0, size)).starts_with("net.pth: ")) << size;
  int noticed = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string altered = whole;
    altered[at] = static_cast<char>(altered[at] ^ 0x10);
    noticed += refusal(altered) != "accepted" ? 1 : 0;
  }
  EXPECT_GT(noticed, static_cast<int>(whole.size() / 2)) << "contents have checksums";
  expect_refusal(file_of(program(text("w") + plain), 8), "is compressed");
  ZipWriter twice;
  twice.add("a/data.pkl", "N.");
  twice.add("a/data.pkl", "N.");
  expect_refusal(twice.finish(), "has the member a/data.pkl twice");
  ZipWriter other;
  other.add("a/readme", "x");
  expect_refusal(other.finish(), "it has no data.pkl");
  ZipWriter big_endian;
  big_endian.add("a/data.pkl", program(text("w") + plain));
  big_endian.add("a/byteorder", "big");
  expect_refusal(big_endian.finish(), "another order of bytes");
}

}  // namespace
}  // namespace convoy::testing
