#include "core/printable.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/error.h"
#include "src/io/json_line.h"

namespace convoy {
namespace {

TEST(Printable, KeepsText) {
  for (const char* text : {"", "a b~", "Käse", "日本語", "😀", "C:\\x0a", "सं\u200dस्कृत", "'\"|"})
    EXPECT_EQ(printable(text), text);
}

TEST(Printable, EscapesControlCharacters) {
  EXPECT_EQ(printable("\x1b[2J\n12:00:00 error\r\t\x7f"), "\\x1b[2J\\x0a12:00:00 error\\x0d\\x09\\x7f");
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable("\u009b31m"), "\\u009b31m");  // one character that some terminals take as ESC [
}

TEST(Printable, EscapesWhatHidesOrTurnsText) {
  EXPECT_EQ(printable("a\u202Egpj.exe"), "a\\u202egpj.exe");
  EXPECT_EQ(printable("\u2066\u200b\u2028\ufeff"), "\\u2066\\u200b\\u2028\\ufeff");
  EXPECT_EQ(printable("\U000e0041"), "\\ue0041");
}

TEST(Printable, EscapesWhatIsNoUtf8) {
  EXPECT_EQ(printable("a\xff"), "a\\xff");
  EXPECT_EQ(printable("\xc3"), "\\xc3");
  EXPECT_EQ(printable("\xc0\x8a"), "\\xc0\\x8a");           // a line break in two bytes
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // half of a pair of UTF-16
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(printable("\x9b\x31"), "\\x9b1");
}

TEST(Printable, TwiceIsOnce) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(printable(printable(all)), printable(all));
}

TEST(Printable, LinesStayInMessagesOfThisProgramAlone) {
  EXPECT_EQ(printable_lines("a\nb\x1b"), "a\nb\\x1b");
  EXPECT_EQ(format_printable("{}:\n{}", "a\nb", 3), "a\\x0ab:\n3");
  const std::vector<std::string> names{"a\x1b", "b"};
  const std::vector<int> numbers{1, 2};
  EXPECT_EQ(format_printable("{} {}", fmt::join(names, ", "), fmt::join(numbers, ",")), "a\\x1b, b 1,2");
  EXPECT_EQ(format_printable("{:>4}|{:.1f}", std::string("\r"), 0.25), "\\x0d|0.2");
}

TEST(Printable, ErrorsSayForeignTextSo) {
  try {
    fail("{}: gone\nsee above", "x\n\x1b[31m");
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "x\\x0a\\x1b[31m: gone\nsee above");
  }
  EXPECT_STREQ(Error("a\x1b\nb").what(), "a\\x1b\nb");
}

TEST(Printable, JsonHasItsOwnEscapes) {
  const std::string text = "\x1b\x7f\u009b\u202e\U000e0041é\n";
  const std::string json = to_json_line(nlohmann::json(text));
  EXPECT_EQ(json, "\"\\u001b\\u007f\\u009b\\u202e\\udb40\\udc41é\\n\"");
  EXPECT_EQ(nlohmann::json::parse(json).get<std::string>(), text);
}

}  // namespace
}  // namespace convoy
