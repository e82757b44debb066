// JSON of others: what is refused before anybody walks through it.
#include "src/io/json_reader.h"

#include "tests/data/support.h"

namespace convoy::testing {
namespace {

std::string problem(const std::string& text, int deepest) {
  return message_of([&] { read_json(text, "x", deepest); });
}

TEST(JsonReader, ReadsUpToADepth) {
  EXPECT_EQ(read_json(R"({"a": [1, {"b": 2}]})", "x", 3)["a"][1]["b"], 2);
  EXPECT_EQ(problem(R"({"a": [1, {"b": 2}]})", 2), "x is nested too deeply");
  EXPECT_EQ(problem("1", 0), "no error");
  EXPECT_EQ(problem("[]", 0), "x is nested too deeply");
  for (const char* open : {"[", R"({"a":)"}) {
    std::string deep;
    for (int i = 0; i < 200'000; ++i) deep += open;
    EXPECT_EQ(problem(deep, 4), "x is nested too deeply");
  }
}

TEST(JsonReader, RefusesAKeyThatIsGivenTwice) {
  EXPECT_EQ(problem(R"({"a": 1, "b": 2, "a": 3})", 3), "x has a twice");
  EXPECT_EQ(problem(R"({"a": {"b": 1, "b": 1}})", 3), "x has b twice");
  EXPECT_EQ(problem(R"({"a": {"b": 1}, "b": {"b": 1}, "c": [{"b": 1}, {"b": 2}]})", 3), "no error");
}

TEST(JsonReader, RefusesWhatIsNoJson) {
  for (const char* text : {"", "{", "nul", "{} {}", "[1e999]", "\xff", "[1,]", "{1: 2}"})
    expect_contains(problem(text, 3), {"x is no JSON: "});
  EXPECT_EQ(problem(std::string("{}\0", 3), 3), "x is no JSON: it has zeros");
}

TEST(JsonReader, TakesABrokenLineForNull) {
  EXPECT_EQ(read_json_line(R"({"epoch": 3})")["epoch"], 3);
  EXPECT_TRUE(read_json_line(R"({"epoch": 3)").is_null());
  EXPECT_TRUE(read_json_line(std::string(100'000, '[')).is_null());
}

}  // namespace
}  // namespace convoy::testing
